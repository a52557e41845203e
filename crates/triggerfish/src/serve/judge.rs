//! Asks a dependency about an event. Scripts and jq programs run in a process of their own, which is ended when it takes too
//! long; what is only filters is asked here.

use sensor::Event;
use sensor::dependency::Judgement;
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// How long a script or program may take.
const TIME: Duration = Duration::from_secs(5);
/// The command that answers.
pub const COMMAND: &str = "judge";

#[derive(Default)]
pub struct Judge {
    process: Option<Process>,
}

struct Process {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Judge {
    /// The event as it passes, or why it does not.
    pub async fn judge(&mut self, judgement: &Judgement, event: &Event) -> Result<Event, String> {
        if !judgement.runs_programs() {
            return judgement.judge(event);
        }
        let question = json!({"judgement": judgement, "event": event});
        match tokio::time::timeout(TIME, self.ask(&question)).await {
            Ok(Ok(answer)) => match answer["error"].as_str() {
                Some(why) => Err(why.to_owned()),
                None => serde_json::from_value(answer["event"].clone()).map_err(|e| e.to_string()),
            },
            Ok(Err(why)) => {
                self.end().await;
                Err(format!("the script or program ended: {why}"))
            }
            Err(_) => {
                self.end().await;
                Err(format!("the script or program takes more than {} s", TIME.as_secs()))
            }
        }
    }

    async fn ask(&mut self, question: &Value) -> Result<Value, String> {
        let process = match &mut self.process {
            Some(p) => p,
            None => self.process.insert(Process::start()?),
        };
        let text = |e: std::io::Error| e.to_string();
        process.to.write_all(format!("{question}\n").as_bytes()).await.map_err(text)?;
        process.to.flush().await.map_err(text)?;
        let mut line = String::new();
        if process.from.read_line(&mut line).await.map_err(text)? == 0 {
            return Err("it used more memory than it may, or was ended".into());
        }
        serde_json::from_str(&line).map_err(|e| e.to_string())
    }

    async fn end(&mut self) {
        if let Some(mut p) = self.process.take() {
            // It may have ended by itself.
            let _ = p.child.kill().await;
        }
    }
}

impl Process {
    fn start() -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|e| e.to_string())?;
        let mut child = Command::new(program)
            .arg(COMMAND)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| e.to_string())?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(to), Some(from)) => Ok(Process { child, to, from: BufReader::new(from) }),
            _ => Err("it has no pipes".into()),
        }
    }
}
