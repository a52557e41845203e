//! Real brokers on loopback, each with a port and a folder of its own; they end with the test.
#![allow(dead_code, clippy::unwrap_used)]

use super::eventually;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A port that nobody uses now, below those that the kernel gives to clients: a peer that is started again finds it free.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 12_000;
    const COUNT: u32 = 20_000;
    // Programs that run at the same time begin apart.
    let start = std::process::id().wrapping_mul(2_654_435_761) >> 8;
    loop {
        let port = (FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

pub struct Peer {
    child: Option<Child>,
    command: Box<dyn Fn() -> Command>,
    pub dir: tempfile::TempDir,
    pub port: u16,
    /// Ends what it leaves behind.
    afterwards: Option<Command>,
}

impl Peer {
    fn start(program: &str, package: &str, make: impl Fn(&Path, u16) -> Command + 'static) -> Option<Peer> {
        let found = std::env::var("PATH")
            .unwrap_or_default()
            .split(':')
            .chain(["/usr/sbin", "/usr/lib/rabbitmq/bin"])
            .any(|d| Path::new(d).join(program).is_file());
        if !found {
            println!("{program}: skipped, it is not installed; Debian's package {package} has it");
            return None;
        }
        let dir = tempfile::Builder::new().prefix("triggerfish-peer-").tempdir().unwrap();
        let (port, path) = (free_port(), dir.path().to_owned());
        let mut peer = Peer { child: None, command: Box::new(move || make(&path, port)), dir, port, afterwards: None };
        peer.launch();
        Some(peer)
    }

    pub fn launch(&mut self) {
        let log = std::fs::File::create(self.dir.path().join("log")).unwrap();
        let mut c = (self.command)();
        // A group of its own: some are scripts that start others.
        c.process_group(0);
        // What it leaves behind when it is killed is not left in the source.
        c.current_dir(self.dir.path());
        self.child = Some(c.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
        eventually("the broker answers", || TcpStream::connect(("127.0.0.1", self.port)).ok());
    }

    /// As by `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut c) = self.child.take() {
            let _ = Command::new("kill").args(["-9", "--", &format!("-{}", c.id())]).status();
            let _ = c.wait();
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.kill();
        if let Some(mut end) = self.afterwards.take() {
            end.stdout(Stdio::null()).stderr(Stdio::null());
            // Refused until the broker's own connection is seen to have ended.
            let begun = std::time::Instant::now();
            while end.status().is_ok_and(|s| !s.success()) && begun.elapsed().as_secs() < 5 {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
    }
}

pub fn nats() -> Option<Peer> {
    Peer::start("nats-server", "nats-server", |dir, port| {
        let mut c = Command::new("nats-server");
        c.args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"]).arg(dir);
        c
    })
}

pub fn mosquitto() -> Option<Peer> {
    Peer::start("mosquitto", "mosquitto", |dir, port| {
        let file = dir.join("mosquitto.conf");
        let text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {}/\nautosave_interval 1\nautosave_on_changes true\nuser root\n",
            dir.display()
        );
        std::fs::write(&file, text).unwrap();
        let sbin = Path::new("/usr/sbin/mosquitto");
        let mut c = Command::new(if sbin.exists() { sbin } else { Path::new("mosquitto") });
        c.arg("-c").arg(file);
        c
    })
}

pub fn rabbitmq() -> Option<Peer> {
    let (distribution, epmd) = (free_port(), free_port());
    let mut peer = Peer::start("rabbitmq-server", "rabbitmq-server", move |dir, port| {
        let plugins = dir.join("enabled_plugins");
        std::fs::write(&plugins, "[].").unwrap();
        let mut c = Command::new("/usr/lib/rabbitmq/bin/rabbitmq-server");
        c.env("HOME", dir).env("RABBITMQ_MNESIA_BASE", dir.join("db")).env("RABBITMQ_LOG_BASE", dir.join("log.d"));
        c.env("RABBITMQ_NODENAME", format!("tf{port}@localhost")).env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1");
        c.env("RABBITMQ_NODE_PORT", port.to_string()).env("RABBITMQ_DIST_PORT", distribution.to_string());
        c.env("ERL_EPMD_PORT", epmd.to_string()).env("ERL_EPMD_ADDRESS", "127.0.0.1");
        c.env("RABBITMQ_CONF_ENV_FILE", "/dev/null").env("RABBITMQ_ENABLED_PLUGINS_FILE", plugins);
        c
    })?;
    let mut end = Command::new("epmd");
    end.args(["-port", &epmd.to_string(), "-kill"]);
    peer.afterwards = Some(end);
    Some(peer)
}

/// The MinIO that `scripts/get-minio` builds; its user and password are both `minioadmin`.
pub fn minio() -> Option<Peer> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/minio");
    if !program.is_file() {
        println!("minio: skipped, scripts/get-minio has not built it");
        return None;
    }
    Peer::start("sh", "dash", move |dir, port| {
        let mut c = Command::new(&program);
        c.args(["server", "--quiet", "--address", &format!("127.0.0.1:{port}")]).arg(dir.join("data"));
        c.env("HOME", dir).env("MINIO_ROOT_USER", "minioadmin").env("MINIO_ROOT_PASSWORD", "minioadmin");
        c.env("MINIO_BROWSER", "off");
        c
    })
}

/// A program of the Python environment that `scripts/get-sdk` makes.
pub fn sdk(program: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/sdk");
    if !folder.join("complete").is_file() {
        println!("{program}: skipped, scripts/get-sdk has not installed it");
        return None;
    }
    Some(folder.canonicalize().unwrap().join("bin").join(program))
}

/// A stand-in for AWS' S3 and SQS; what it holds ends with it.
pub fn moto() -> Option<Peer> {
    let program = sdk("moto_server")?;
    Peer::start("sh", "dash", move |_, port| {
        let mut c = Command::new(&program);
        c.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        c
    })
}

/// The jars that `scripts/get-kafka` fetches.
fn kafka_program(main: &str) -> Option<Command> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/kafka");
    if !folder.join("complete").is_file() {
        println!("kafka: skipped, scripts/get-kafka has not fetched it");
        return None;
    }
    let mut c = Command::new("java");
    c.args(["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]).arg(folder.join("libs/*")).arg(main);
    Some(c)
}

/// A Kafka broker of one node, whose topics have three partitions.
pub fn kafka() -> Option<Peer> {
    kafka_program("-")?;
    let controller = free_port();
    Peer::start("java", "default-jre-headless", move |dir, port| {
        let file = dir.join("server.properties");
        let text = format!(
            "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port}\ncontroller.listener.names=CONTROLLER\n\
             inter.broker.listener.name=PLAINTEXT\nlog.dirs={}\noffsets.topic.replication.factor=1\n\
             offsets.topic.num.partitions=1\ntransaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
             group.initial.rebalance.delay.ms=0\nnum.partitions=3\n",
            dir.join("data").display()
        );
        std::fs::write(&file, text).unwrap();
        if !dir.join("data").exists() {
            let mut format = kafka_program("kafka.tools.StorageTool").unwrap();
            format.args(["format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c"]).arg(&file).stdout(Stdio::null());
            assert!(format.status().unwrap().success());
        }
        let mut c = kafka_program("kafka.Kafka").unwrap();
        c.arg(file);
        c
    })
}

/// Sends lines with Kafka's own producer; what comes before a colon is the key.
pub fn kafka_produce(port: u16, topic: &str, lines: &[String]) {
    let mut c = kafka_program("kafka.tools.ConsoleProducer").unwrap();
    c.args(["--bootstrap-server", &format!("127.0.0.1:{port}"), "--topic", topic]);
    c.args(["--property", "parse.key=true", "--property", "key.separator=:", "--request-required-acks", "all"]);
    let mut child = c.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{}\n", lines.join("\n")).as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// A line-based client of NATS' own protocol.
pub struct NatsClient(BufReader<TcpStream>);

impl NatsClient {
    pub fn connect(port: u16) -> Self {
        let mut c = NatsClient(BufReader::new(TcpStream::connect(("127.0.0.1", port)).unwrap()));
        assert!(c.line().starts_with("INFO"));
        c.send("CONNECT {\"verbose\":false,\"headers\":true}\r\nPING\r\n");
        assert_eq!(c.line(), "PONG");
        c
    }
    fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
    /// Publishes and waits until the server has it.
    pub fn publish(&mut self, subject: &str, payload: &str) {
        self.send(&format!("PUB {subject} {}\r\n{payload}\r\nPING\r\n", payload.len()));
        while self.line() != "PONG" {}
    }
    /// Asks, and returns the answer's payload.
    pub fn request(&mut self, subject: &str, payload: &str) -> String {
        self.send(&format!("SUB _INBOX.t 1\r\nPUB {subject} _INBOX.t {}\r\n{payload}\r\n", payload.len()));
        while !self.line().starts_with("MSG") {}
        let answer = self.line();
        self.send("UNSUB 1\r\n");
        answer
    }
}
