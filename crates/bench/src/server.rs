//! The real server as a child process, and what the kernel says it used.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Server {
    child: Child,
    pub dir: PathBuf,
    pub http: String,
    pub ready_after: Duration,
}

/// The program beside this one.
pub fn program() -> PathBuf {
    let me = std::env::current_exe().expect("this program has a path");
    let p = me.with_file_name("triggerfish");
    assert!(p.exists(), "{} is missing: cargo build --release -p triggerfish", p.display());
    p
}

impl Server {
    pub fn start(dir: &Path, arguments: &[&str]) -> Server {
        let begun = Instant::now();
        let mut child = Command::new(program())
            .args([
                "serve",
                "--http-address",
                "127.0.0.1:0",
                "--kube-address",
                "127.0.0.1:0",
                "--notification-address",
                "127.0.0.1:0",
                "--receiver-address",
                "127.0.0.1:0",
                "--log",
                "error",
                "--data-dir",
            ])
            .arg(dir)
            .args(arguments)
            .env_remove("KUBECONFIG")
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut lines = BufReader::new(child.stderr.take().expect("stderr is piped")).lines();
        let ready = lines.by_ref().map_while(Result::ok).any(|l| l.contains("data  "));
        assert!(ready, "the server did not become ready");
        let ready_after = begun.elapsed();
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|l| eprintln!("server: {l}")));
        let http =
            std::fs::read_to_string(dir.join("http-address")).expect("the server wrote its address").trim().to_owned();
        Server { child, dir: dir.to_owned(), http, ready_after }
    }

    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn cli(&self, arguments: &[&str]) -> String {
        let out = Command::new(program())
            .args(arguments)
            .arg("--data-dir")
            .arg(&self.dir)
            .env_remove("KUBECONFIG")
            .output()
            .expect("the client runs");
        assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    /// An account that may do what the load needs, its token, a template and a binding.
    pub fn prepare(&self, template: &str) -> String {
        let file = self.dir.join("bench.yaml");
        let manifest = format!(
            "apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: bench, namespace: argo}}\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {{name: bench}}\nroleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}}\nsubjects: [{{kind: ServiceAccount, name: bench, namespace: argo}}]\n---\n{template}\n---\napiVersion: argoproj.io/v1alpha1\nkind: WorkflowEventBinding\nmetadata: {{name: bench, namespace: argo}}\nspec:\n  event: {{selector: payload.message != nil}}\n  submit:\n    workflowTemplateRef: {{name: bench}}\n    arguments: {{parameters: [{{name: message, valueFrom: {{event: payload.message}}}}]}}\n"
        );
        std::fs::write(&file, manifest).expect("the directory can be written");
        self.cli(&["apply", "-f", file.to_str().expect("a plain path")]);
        format!("Bearer {}", self.cli(&["token", "bench", "--duration", "86400", "-n", "argo"]).trim())
    }

    /// Bindings that look each for something of their own, in four ways; none matches what the load sends.
    pub fn bind(&self, n: usize) {
        const AT_ONCE: usize = 4;
        let selector = |i: usize| match i % 4 {
            0 => format!("payload.message != \"\" && discriminator == \"d{i}\""),
            1 => format!("payload.other == \"o{i}\""),
            2 => format!("payload.padding startsWith \"p{i}-\""),
            _ => format!("metadata[\"x-topic\"] == [\"t{i}\"]"),
        };
        let binding = |i: usize| {
            format!(
                "apiVersion: argoproj.io/v1alpha1\nkind: WorkflowEventBinding\nmetadata: {{name: other-{i}, namespace: argo}}\nspec:\n  event: {{selector: '{}'}}\n  submit: {{workflowTemplateRef: {{name: bench}}}}\n---\n",
                selector(i)
            )
        };
        std::thread::scope(|s| {
            for part in 0..AT_ONCE {
                s.spawn(move || {
                    let file = self.dir.join(format!("bindings-{part}.yaml"));
                    let text: String = (0..n).filter(|i| i / 4 % AT_ONCE == part).map(binding).collect();
                    std::fs::write(&file, text).expect("the directory can be written");
                    self.cli(&["apply", "-f", file.to_str().expect("a plain path")]);
                });
            }
        });
        // Until the status of the last is written nothing is measured.
        let mut before = self.cpu();
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let now = self.cpu();
            if now - before < 0.05 {
                break;
            }
            before = now;
        }
    }

    pub fn get(&self, path: &str, token: &str) -> serde_json::Value {
        let url = format!("http://{}{path}", self.http);
        let out = Command::new("curl")
            .args(["-s", &url, "-H", &format!("Authorization: {token}")])
            .output()
            .expect("curl runs");
        serde_json::from_slice(&out.stdout).unwrap_or_default()
    }

    /// Seconds of CPU used so far, children that ended included.
    pub fn cpu(&self) -> f64 {
        cpu_of(self.child.id())
    }

    /// Resident memory in bytes.
    pub fn memory(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        text.lines()
            .find_map(|l| l.strip_prefix("VmRSS:"))
            .and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok())
            .unwrap_or(0)
            * 1024
    }

    /// A number of the metrics page.
    pub fn metric(&self, name: &str, token: &str) -> u64 {
        let url = format!("http://{}/metrics", self.http);
        let out = Command::new("curl")
            .args(["-s", &url, "-H", &format!("Authorization: {token}")])
            .output()
            .expect("curl runs");
        String::from_utf8_lossy(&out.stdout)
            .lines()
            .find_map(|l| l.strip_prefix(name)?.trim().parse().ok())
            .unwrap_or(0)
    }
}

/// User and system time of a process and its ended children, in seconds.
pub fn cpu_of(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    // Fields 14 to 17 of proc(5), in ticks of 10 ms.
    (11..15).filter_map(|i| fields.get(i)?.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// A directory that goes away with the measurement.
pub fn scratch(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("triggerfish-bench-{name}-{}", std::process::id()));
    // What an earlier run with the same number left behind is in the way.
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).expect("the temporary directory can be written");
    dir
}

pub const NO_WORK: &str = "apiVersion: argoproj.io/v1alpha1\nkind: WorkflowTemplate\nmetadata: {name: bench, namespace: argo}\nspec:\n  entrypoint: main\n  arguments: {parameters: [{name: message}]}\n  templates: [{name: main, container: {image: busybox, command: [\"true\"]}}]";
