//! Services of others, without the others: see `vendor.py`.

use super::has;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Every service in one, behind a proxy that leads to it.
pub struct Vendor {
    child: Child,
    pub server: u16,
    pub proxy: u16,
    /// Where the server writes what it was asked; what the proxy was asked stands beside it.
    pub record: PathBuf,
}

impl Vendor {
    /// None: this host has no openssl or no Python to make it with.
    pub fn start(dir: &Path, user: Option<&str>) -> Option<Vendor> {
        if !has("openssl") || !has("python3") {
            return None;
        }
        let names = [
            "hooks.slack.com",
            "slack.com",
            "api.github.com",
            "webexapis.com",
            "sentry.io",
            "api.telegram.org",
            "matrix.org",
            "open.larksuite.com",
            "api.opsgenie.com",
            "alertmanager.example.com",
            "grafana.example.com",
            "prod.westeurope.logic.azure.com",
            "fluxv2.servicebus.windows.net",
            "localhost",
        ];
        let names: Vec<String> = names.iter().map(|n| format!("DNS:{n}")).chain(["IP:127.0.0.1".to_owned()]).collect();
        let make = format!(
            "cd {dir} && openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj '/CN=test ca' 2>/dev/null && openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj '/CN=vendor' 2>/dev/null && printf 'subjectAltName={}' > ext && openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out server.crt -days 2 -extfile ext 2>/dev/null",
            names.join(","),
            dir = dir.display()
        );
        assert!(Command::new("bash").args(["-c", &make]).status().unwrap().success());
        let record = dir.join("record");
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/vendor.py");
        let mut c = Command::new("python3");
        c.arg(program).arg(dir.join("server.crt")).arg(dir.join("server.key")).arg(&record).args(user);
        let mut child = c.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ports: Vec<u16> = line.split_whitespace().map(|p| p.parse().unwrap()).collect();
        Some(Vendor { child, server: ports[0], proxy: ports[1], record })
    }

    pub fn got(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.record).unwrap_or_default();
        text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect()
    }
}

impl Drop for Vendor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
