//! `triggerfish doctor`

use super::connect::Connection;
use crate::runtime;
use crate::serve::directory;
use std::path::Path;

#[derive(Debug, clap::Args)]
pub struct Doctor {
    #[command(flatten)]
    connection: Connection,
}

enum Finding {
    Fine(String),
    Note(String),
    Wrong(String),
}

impl Doctor {
    pub async fn run(self) -> Result<(), String> {
        let data = self.connection.data_dir.clone().unwrap_or_else(directory::default_path);
        let checks = [
            ("data directory", writable(&data)),
            ("disk", space(&data)),
            ("clock", clock()),
            ("process views", views()),
            ("container engine", engines()),
            ("server", self.server().await),
        ];
        let mut wrong = 0;
        for (what, finding) in checks {
            match finding {
                Finding::Fine(text) => println!("ok    {what}: {text}"),
                Finding::Note(text) => println!("note  {what}: {text}"),
                Finding::Wrong(text) => {
                    wrong += 1;
                    println!("WRONG {what}: {text}");
                }
            }
        }
        if wrong > 0 { Err(format!("{wrong} things are wrong")) } else { Ok(()) }
    }

    async fn server(&self) -> Finding {
        let (api, _) = match self.connection.kubernetes().await {
            Ok(x) => x,
            Err(e) => return Finding::Note(format!("none was started here yet ({})", e.lines().next().unwrap_or(""))),
        };
        match api.get("/version").await {
            Ok(v) => Finding::Fine(format!("answers, {}", v["gitVersion"].as_str().unwrap_or(""))),
            Err(e) => Finding::Note(format!("does not answer ({}); start it with `triggerfish serve`", e.message)),
        }
    }
}

fn writable(data: &Path) -> Finding {
    let place = data.ancestors().find(|p| p.exists()).unwrap_or(Path::new("/"));
    let probe = place.join(".triggerfish-doctor");
    match std::fs::write(&probe, b"x").and_then(|()| std::fs::remove_file(&probe)) {
        Ok(()) => Finding::Fine(format!("{} can be written", data.display())),
        Err(e) => Finding::Wrong(format!("{} cannot be written: {e}; choose another with --data-dir", data.display())),
    }
}

fn space(data: &Path) -> Finding {
    let place = data.ancestors().find(|p| p.exists()).unwrap_or(Path::new("/"));
    match rustix::fs::statvfs(place) {
        Ok(s) => {
            let mib = s.f_bavail * s.f_frsize / (1 << 20);
            if mib < 512 {
                Finding::Wrong(format!("only {mib} MiB are free; events are refused when the disk is full"))
            } else {
                Finding::Fine(format!("{mib} MiB free"))
            }
        }
        Err(e) => Finding::Note(format!("cannot be measured: {e}")),
    }
}

fn clock() -> Finding {
    let now = jiff::Timestamp::now();
    // A clock before this program was written breaks certificates and tokens.
    if now.as_second() < 1_760_000_000 {
        Finding::Wrong(format!("it is set to {now}; tokens and certificates will not be accepted"))
    } else {
        Finding::Fine(now.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
    }
}

fn views() -> Finding {
    match runtime::views_work() {
        Ok(()) => Finding::Fine("each Pod gets its own copy-on-write view of the file system".into()),
        Err(e) => Finding::Note(format!(
            "not possible here ({e}); Pods share the file system and get folders of their own. Run as root for views"
        )),
    }
}

fn engines() -> Finding {
    let found: Vec<&str> = ["podman", "docker"].into_iter().filter(|p| on_path(p)).collect();
    if found.is_empty() {
        Finding::Note("neither podman nor docker is installed: images cannot be run, commands can".into())
    } else {
        Finding::Fine(format!("{} can run images: --runtime {}", found.join(" and "), found[0]))
    }
}

fn on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|p| std::env::split_paths(&p).any(|d| d.join(program).is_file()))
}
