//! Structural schemas: what a kind's objects may hold, and what follows from it (checks, defaults, pruning, merge keys).

mod check;
pub mod rules;
mod shape;

pub use check::check;
pub use shape::{apply_defaults, drop_nulls, prune, unknown_fields};

use regex::Regex;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Type {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
    IntOrString,
    /// Anything: free-form JSON.
    #[default]
    Any,
}

impl Type {
    pub fn name(self) -> &'static str {
        match self {
            Type::Object => "object",
            Type::Array => "array",
            Type::String => "string",
            Type::Integer => "integer",
            Type::Number => "number",
            Type::Boolean => "boolean",
            Type::IntOrString => "integer,string",
            Type::Any => "",
        }
    }
}

/// How the elements of a list are told apart when several people write it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ListType {
    #[default]
    Atomic,
    Set,
    Map(Vec<String>),
}

#[derive(Debug, Clone, Default)]
pub struct Schema {
    pub kind: Type,
    pub format: String,
    pub properties: BTreeMap<String, Arc<Schema>>,
    pub additional: Option<Arc<Schema>>,
    pub items: Option<Arc<Schema>>,
    pub required: Vec<String>,
    pub allowed: Vec<Value>,
    pub default: Option<Value>,
    pub nullable: bool,
    pub preserve_unknown: bool,
    /// The value is a whole object with `apiVersion`, `kind` and `metadata`.
    pub embedded: bool,
    pub list: ListType,
    pub atomic_map: bool,
    /// Rules in CEL, asked when everything else is right.
    pub rules: Vec<Arc<rules::Rule>>,
    /// Whether this or any part of it carries rules.
    pub any_rules: bool,
    /// Rules that cannot be asked here, and why.
    pub unasked: Vec<String>,
    pub bounds: Option<Box<Bounds>>,
    /// `patchStrategy: merge` of a built-in list, by this key ("" for lists of scalars).
    pub merge_key: Option<String>,
}

/// Limits of a value, in the unit of its type (characters, elements, members, the number itself).
#[derive(Debug, Clone, Default)]
pub struct Bounds {
    pub pattern: Option<Regex>,
    pub minimum: Option<f64>,
    pub maximum: Option<f64>,
    pub exclusive: (bool, bool),
    pub min_length: Option<usize>,
    pub max_length: Option<usize>,
    pub min_items: Option<usize>,
    pub max_items: Option<usize>,
    pub min_properties: Option<usize>,
    pub max_properties: Option<usize>,
    pub one_of: Vec<Schema>,
    pub any_of: Vec<Schema>,
}

impl Schema {
    pub fn any() -> Self {
        Schema { preserve_unknown: true, ..Schema::default() }
    }

    /// Reads an OpenAPI v3 schema. `definitions` holds what `$ref`s point at, by their last path segment.
    pub fn parse(source: &Value, definitions: &Value) -> Result<Schema, String> {
        Reader { definitions, memo: BTreeMap::new(), open: Vec::new() }.schema(source, 0)
    }

    pub fn property(&self, name: &str) -> Option<&Arc<Schema>> {
        self.properties.get(name).or(self.additional.as_ref())
    }

    /// Rules of any part that cannot be asked here, and why.
    pub fn unasked_rules(&self) -> Vec<&str> {
        self.unasked.iter().map(String::as_str).chain(self.parts().flat_map(|s| s.unasked_rules())).collect()
    }

    fn parts(&self) -> impl Iterator<Item = &Arc<Schema>> {
        self.properties.values().chain(self.items.iter()).chain(self.additional.iter())
    }
}

/// Schemas nested deeper than this are refused.
const MAX_DEPTH: usize = 64;

struct Reader<'a> {
    definitions: &'a Value,
    memo: BTreeMap<String, Arc<Schema>>,
    /// References being read, to stop at recursion.
    open: Vec<String>,
}

impl Reader<'_> {
    fn child(&mut self, source: &Value, depth: usize) -> Result<Arc<Schema>, String> {
        let reference = source.get("$ref").or_else(|| source.pointer("/allOf/0/$ref")).and_then(Value::as_str);
        let Some(reference) = reference else { return Ok(Arc::new(self.schema(source, depth)?)) };
        let name = reference.rsplit('/').next().unwrap_or(reference).to_owned();
        if let Some(known) = self.memo.get(&name) {
            return Ok(known.clone());
        }
        if self.open.contains(&name) {
            return Ok(Arc::new(Schema::any()));
        }
        let target = self.definitions.get(&name).ok_or_else(|| format!("$ref to {name}, which is not defined"))?;
        self.open.push(name.clone());
        let schema = Arc::new(self.schema(target, depth)?);
        self.open.pop();
        self.memo.insert(name, schema.clone());
        Ok(schema)
    }

    fn schema(&mut self, source: &Value, depth: usize) -> Result<Schema, String> {
        if depth > MAX_DEPTH {
            return Err(format!("nested deeper than {MAX_DEPTH} levels"));
        }
        let Some(o) = source.as_object() else { return Ok(Schema::any()) };
        if o.contains_key("$ref") || source.pointer("/allOf/0/$ref").is_some() {
            return Ok((*self.child(source, depth)?).clone());
        }
        let flag = |key: &str| o.get(key).and_then(Value::as_bool).unwrap_or(false);
        let text = |key: &str| o.get(key).and_then(Value::as_str).unwrap_or("");
        let mut out = Schema {
            kind: read_type(source),
            format: text("format").into(),
            required: strings(o.get("required")),
            allowed: o.get("enum").and_then(Value::as_array).cloned().unwrap_or_default(),
            default: o.get("default").cloned(),
            nullable: flag("nullable")
                || o.get("type").and_then(Value::as_array).is_some_and(|t| t.iter().any(|x| x == "null")),
            preserve_unknown: flag("x-kubernetes-preserve-unknown-fields"),
            embedded: flag("x-kubernetes-embedded-resource"),
            atomic_map: text("x-kubernetes-map-type") == "atomic",
            bounds: self.bounds(source, depth)?,
            merge_key: o.get("x-kubernetes-patch-merge-key").and_then(Value::as_str).map(str::to_owned),
            ..Schema::default()
        };
        out.list = match text("x-kubernetes-list-type") {
            "set" => ListType::Set,
            "map" => ListType::Map(strings(o.get("x-kubernetes-list-map-keys"))),
            _ => ListType::Atomic,
        };
        for (i, rule) in o.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten().enumerate() {
            match rules::Rule::read(rule).map_err(|e| format!("x-kubernetes-validations[{i}].rule: {e}"))? {
                Ok(rule) => out.rules.push(Arc::new(rule)),
                Err(why) => out.unasked.push(why),
            }
        }
        for (name, property) in o.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let child = self.child(property, depth + 1).map_err(|e| format!("properties[{name}]: {e}"))?;
            out.properties.insert(name.clone(), child);
        }
        match o.get("additionalProperties") {
            Some(Value::Bool(true)) => out.additional = Some(Arc::new(Schema::any())),
            Some(Value::Object(_)) => out.additional = Some(self.child(&o["additionalProperties"], depth + 1)?),
            _ => {}
        }
        if let Some(items) = o.get("items") {
            out.items = Some(self.child(items, depth + 1).map_err(|e| format!("items: {e}"))?);
        }
        out.any_rules = !out.rules.is_empty() || out.parts().any(|s| s.any_rules);
        // An object without any member of its own is free-form.
        if out.kind == Type::Object
            && out.properties.is_empty()
            && out.additional.is_none()
            && !o.contains_key("properties")
        {
            out.preserve_unknown = out.preserve_unknown || !o.contains_key("x-closed");
        }
        if out.kind == Type::Any && out.properties.is_empty() {
            out.preserve_unknown = true;
        }
        Ok(out)
    }

    fn bounds(&mut self, source: &Value, depth: usize) -> Result<Option<Box<Bounds>>, String> {
        let number = |key: &str| source.get(key).and_then(Value::as_f64);
        let count = |key: &str| source.get(key).and_then(Value::as_u64).map(|n| n as usize);
        let flag = |key: &str| source.get(key).and_then(Value::as_bool).unwrap_or(false);
        let mut alternatives = |key: &str| -> Result<Vec<Schema>, String> {
            if source.get("x-kubernetes-int-or-string").is_some() {
                return Ok(Vec::new());
            }
            source.get(key).and_then(Value::as_array).into_iter().flatten().map(|s| self.schema(s, depth + 1)).collect()
        };
        let (one_of, any_of) = (alternatives("oneOf")?, alternatives("anyOf")?);
        let pattern = match source.get("pattern").and_then(Value::as_str) {
            None => None,
            Some(p) => Some(Regex::new(p).map_err(|e| format!("pattern: {e}"))?),
        };
        let bounds = Bounds {
            pattern,
            minimum: number("minimum"),
            maximum: number("maximum"),
            exclusive: (flag("exclusiveMinimum"), flag("exclusiveMaximum")),
            min_length: count("minLength"),
            max_length: count("maxLength"),
            min_items: count("minItems"),
            max_items: count("maxItems"),
            min_properties: count("minProperties"),
            max_properties: count("maxProperties"),
            one_of,
            any_of,
        };
        let empty = bounds.pattern.is_none()
            && bounds.one_of.is_empty()
            && bounds.any_of.is_empty()
            && [bounds.minimum, bounds.maximum].iter().all(Option::is_none)
            && [
                bounds.min_length,
                bounds.max_length,
                bounds.min_items,
                bounds.max_items,
                bounds.min_properties,
                bounds.max_properties,
            ]
            .iter()
            .all(Option::is_none);
        Ok(if empty { None } else { Some(Box::new(bounds)) })
    }
}

fn read_type(source: &Value) -> Type {
    if source.get("x-kubernetes-int-or-string").and_then(Value::as_bool) == Some(true)
        || source.get("format").and_then(Value::as_str) == Some("int-or-string")
    {
        return Type::IntOrString;
    }
    let name = match source.get("type") {
        Some(Value::String(t)) => t.as_str(),
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).find(|t| *t != "null").unwrap_or(""),
        _ => "",
    };
    match name {
        "object" => Type::Object,
        "array" => Type::Array,
        "string" => Type::String,
        "integer" => Type::Integer,
        "number" => Type::Number,
        "boolean" => Type::Boolean,
        _ if source.get("properties").is_some() => Type::Object,
        _ => Type::Any,
    }
}

fn strings(v: Option<&Value>) -> Vec<String> {
    v.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
