//! From a Pod object to what has to be run.

use super::Engine;
use crate::workflow::SCRIPT;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    pub uid: String,
    pub namespace: String,
    pub name: String,
    pub container: String,
    pub image: String,
    /// What is run on this host; empty for a container engine.
    pub program: String,
    /// The container's command, for an engine: none is what the image says.
    pub command: Vec<String>,
    pub arguments: Vec<String>,
    pub environment: BTreeMap<String, String>,
    pub working_dir: Option<PathBuf>,
    /// A program text that the command is given as a file.
    pub script: Option<String>,
    /// Output parameters: name and file.
    pub outputs: Vec<(String, String)>,
    /// Seconds that the Pod may take.
    pub deadline: Option<u64>,
}

fn text<'a>(o: &'a Value, pointer: &str) -> &'a str {
    o.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

fn texts(v: Option<&Value>) -> Vec<String> {
    v.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Reads a Pod; what cannot be run is refused with a sentence that says what to do.
pub fn read(pod: &Value, engine: Engine) -> Result<Job, String> {
    let containers = pod.pointer("/spec/containers").and_then(Value::as_array).cloned().unwrap_or_default();
    let [container] = containers.as_slice() else {
        return Err(format!("the Pod has {} containers; this runtime runs Pods with one", containers.len()));
    };
    for field in ["initContainers", "volumes"] {
        if pod.pointer(&format!("/spec/{field}")).and_then(Value::as_array).is_some_and(|l| !l.is_empty()) {
            return Err(format!("spec.{field} is not supported yet by this runtime"));
        }
    }
    let (command, args) = (texts(container.get("command")), texts(container.get("args")));
    let image = text(container, "/image").to_owned();
    let (program, command, arguments) = match engine {
        Engine::Process => {
            let has_command = container.get("command").and_then(Value::as_array).is_some_and(|l| !l.is_empty());
            if !has_command {
                return Err(format!(
                    "the container names no command, and the process runtime does not use images, so the one in {image} is unknown; add command: [...], or start with --runtime podman or docker"
                ));
            }
            let mut words = command.into_iter().chain(args);
            (words.next().unwrap_or_default(), Vec::new(), words.collect())
        }
        _ => (String::new(), command, args),
    };
    let mut environment = BTreeMap::new();
    for e in container.get("env").and_then(Value::as_array).into_iter().flatten() {
        let name = text(e, "/name").to_owned();
        let value = match text(e, "/valueFrom/fieldRef/fieldPath") {
            "" if e.get("valueFrom").is_some_and(|v| !v.is_null()) => {
                return Err(format!("env {name}: valueFrom is supported for fieldRef only by this runtime"));
            }
            "" => text(e, "/value").to_owned(),
            path => text(pod, &format!("/{}", path.replace('.', "/"))).to_owned(),
        };
        environment.insert(name, value);
    }
    let template: Value =
        environment.get("ARGO_TEMPLATE").and_then(|t| serde_json::from_str(t).ok()).unwrap_or_default();
    let parameters = template.pointer("/outputs/parameters").and_then(Value::as_array).cloned().unwrap_or_default();
    let outputs = parameters
        .iter()
        .map(|p| (text(p, "/name").to_owned(), text(p, "/valueFrom/path").to_owned()))
        .filter(|(_, path)| !path.is_empty())
        .collect();
    Ok(Job {
        uid: text(pod, "/metadata/uid").into(),
        namespace: text(pod, "/metadata/namespace").into(),
        name: text(pod, "/metadata/name").into(),
        container: text(container, "/name").into(),
        image,
        program,
        command,
        arguments,
        environment,
        working_dir: Some(text(container, "/workingDir")).filter(|d| !d.is_empty()).map(PathBuf::from),
        script: template.pointer("/script/source").and_then(Value::as_str).map(str::to_owned),
        outputs,
        deadline: pod.pointer("/spec/activeDeadlineSeconds").and_then(Value::as_u64),
    })
}

impl Job {
    /// The arguments with the script's place replaced by where it really is.
    pub fn arguments_with(&self, script: &str) -> Vec<String> {
        self.arguments.iter().map(|a| if a == SCRIPT { script.to_owned() } else { a.clone() }).collect()
    }
}
