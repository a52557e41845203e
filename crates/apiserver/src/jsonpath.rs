//! The part of JSON path that printer columns use: `.a.b`, `.a[0]`, `.a['b.c']`, `.list[?(@.type=="Ready")].status`.

use serde_json::Value;

/// The first value that the path finds.
pub fn first<'a>(o: &'a Value, path: &str) -> Option<&'a Value> {
    let mut found = vec![o];
    let mut rest = path.trim_start_matches('$');
    while !rest.is_empty() {
        let (step, after) = next_step(rest)?;
        found = found.into_iter().flat_map(|v| advance(v, &step)).collect();
        rest = after;
        if found.is_empty() {
            return None;
        }
    }
    found.into_iter().next()
}

enum Step<'a> {
    Member(String),
    Index(i64),
    All,
    Where { path: &'a str, want: String },
}

fn next_step(path: &str) -> Option<(Step<'_>, &str)> {
    if let Some(rest) = path.strip_prefix('.') {
        let mut name = String::new();
        let mut chars = rest.char_indices();
        while let Some((i, c)) = chars.next() {
            match c {
                '.' | '[' => return Some((Step::Member(name), &rest[i..])),
                '\\' => name.push(chars.next()?.1),
                _ => name.push(c),
            }
        }
        return Some((Step::Member(name), ""));
    }
    let inner = path.strip_prefix('[')?;
    let end = if inner.starts_with("?(") { inner.find(")]")? + 1 } else { inner.find(']')? };
    let (body, rest) = (&inner[..end], &inner[end + 1..]);
    let step = if body == "*" {
        Step::All
    } else if let Some(filter) = body.strip_prefix("?(").and_then(|f| f.strip_suffix(')')) {
        let (left, right) = filter.split_once("==")?;
        let want = right.trim().trim_matches(['"', '\'']).to_owned();
        Step::Where { path: left.trim().strip_prefix('@')?, want }
    } else if let Some(name) = body.strip_prefix('\'').and_then(|b| b.strip_suffix('\'')) {
        Step::Member(name.to_owned())
    } else {
        Step::Index(body.parse().ok()?)
    };
    Some((step, rest))
}

fn advance<'a>(v: &'a Value, step: &Step) -> Vec<&'a Value> {
    match step {
        Step::Member(name) => v.get(name).into_iter().collect(),
        Step::Index(i) => {
            let list = v.as_array().map(Vec::as_slice).unwrap_or_default();
            let at = if *i < 0 { list.len() as i64 + i } else { *i };
            usize::try_from(at).ok().and_then(|n| list.get(n)).into_iter().collect()
        }
        Step::All => v.as_array().into_iter().flatten().collect(),
        Step::Where { path, want } => {
            let fits = |e: &&Value| {
                first(e, path).is_some_and(|x| x.as_str().map_or_else(|| x.to_string(), str::to_owned) == *want)
            };
            v.as_array().into_iter().flatten().filter(fits).collect()
        }
    }
}
