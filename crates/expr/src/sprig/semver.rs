//! Semantic versions and constraints on them, as Masterminds' semver reads them: leniently, and a pre-release fits only
//! a constraint that names one.

use super::{Call, Outcome};
use crate::value::{Object, Value};
use std::cmp::Ordering;
use std::fmt;
use std::rc::Rc;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    pub major: u64,
    pub minor: u64,
    pub patch: u64,
    pub prerelease: String,
    pub metadata: String,
    pub original: String,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if !self.prerelease.is_empty() {
            write!(f, "-{}", self.prerelease)?;
        }
        if !self.metadata.is_empty() {
            write!(f, "+{}", self.metadata)?;
        }
        Ok(())
    }
}

const INVALID: &str = "invalid semantic version";

/// A version as it is written, with how many of its three numbers were given; a number may be a wildcard.
struct Written {
    numbers: [Option<u64>; 3],
    given: usize,
    prerelease: String,
    metadata: String,
}

fn read(text: &str, wildcards: bool) -> Option<Written> {
    let body = text.strip_prefix('v').unwrap_or(text);
    let (rest, metadata) = body.split_once('+').map_or((body, None), |(r, m)| (r, Some(m)));
    let (rest, prerelease) = rest.split_once('-').map_or((rest, None), |(r, p)| (r, Some(p)));
    let fits = |s: Option<&str>| {
        s.is_none_or(|s| {
            s.split('.').all(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
        })
    };
    let parts: Vec<&str> = rest.split('.').collect();
    if parts.len() > 3 || !fits(prerelease) || !fits(metadata) {
        return None;
    }
    // A number of a pre-release has no zero in front.
    if prerelease.is_some_and(|p| {
        p.split('.').any(|p| p.len() > 1 && p.starts_with('0') && p.bytes().all(|b| b.is_ascii_digit()))
            && !wildcards
            && parts.len() == 3
    }) {
        return None;
    }
    let mut numbers = [Some(0); 3];
    for (slot, part) in numbers.iter_mut().zip(&parts) {
        *slot = match *part {
            "x" | "X" | "*" if wildcards => None,
            p if p.bytes().all(|b| b.is_ascii_digit()) => Some(p.parse().ok()?),
            _ => return None,
        };
    }
    Some(Written {
        numbers,
        given: parts.len(),
        prerelease: prerelease.unwrap_or("").into(),
        metadata: metadata.unwrap_or("").into(),
    })
}

impl Version {
    pub fn parse(text: &str) -> Result<Self, String> {
        let w = read(text, false).ok_or(INVALID)?;
        let [major, minor, patch] = w.numbers.map(|n| n.unwrap_or(0));
        Ok(Self { major, minor, patch, prerelease: w.prerelease, metadata: w.metadata, original: text.to_owned() })
    }
    fn triple(&self) -> [u64; 3] {
        [self.major, self.minor, self.patch]
    }
    pub fn order(&self, other: &Self) -> Ordering {
        self.triple().cmp(&other.triple()).then_with(|| {
            match (self.prerelease.is_empty(), other.prerelease.is_empty()) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) => prereleases(&self.prerelease, &other.prerelease),
            }
        })
    }

    /// Methods that an expression may call.
    pub fn method<'a>(&self, name: &str, arguments: &[Value<'a>]) -> Option<Value<'a>> {
        let version = |v: &Value| {
            if let Value::Object(o) = v
                && let Object::Version(v) = &**o
            {
                Some(v.clone())
            } else {
                None
            }
        };
        let number = |n: u64| Value::Int64(i64::try_from(n).unwrap_or(i64::MAX));
        let made = |v: Version| Value::Object(Rc::new(Object::Version(v)));
        let next = |[major, minor, patch]: [u64; 3]| {
            let mut v = Version {
                major,
                minor,
                patch,
                prerelease: String::new(),
                metadata: String::new(),
                original: String::new(),
            };
            v.original = v.to_string();
            made(v)
        };
        Some(match (name, arguments) {
            ("Major", []) => number(self.major),
            ("Minor", []) => number(self.minor),
            ("Patch", []) => number(self.patch),
            ("Prerelease", []) => Value::text(&self.prerelease),
            ("Metadata", []) => Value::text(&self.metadata),
            ("Original", []) => Value::text(&self.original),
            ("String", []) => Value::text(self.to_string()),
            ("IncMajor", []) => next([self.major + 1, 0, 0]),
            ("IncMinor", []) => next([self.major, self.minor + 1, 0]),
            ("IncPatch", []) => next([self.major, self.minor, self.patch + u64::from(self.prerelease.is_empty())]),
            ("Compare", [other]) => Value::Int(self.order(&version(other)?) as i64),
            ("Equal", [other]) => Value::Bool(self.order(&version(other)?).is_eq()),
            ("LessThan", [other]) => Value::Bool(self.order(&version(other)?).is_lt()),
            ("LessThanEqual", [other]) => Value::Bool(self.order(&version(other)?).is_le()),
            ("GreaterThan", [other]) => Value::Bool(self.order(&version(other)?).is_gt()),
            ("GreaterThanEqual", [other]) => Value::Bool(self.order(&version(other)?).is_ge()),
            _ => return None,
        })
    }
}

fn prereleases(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        let order = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(x), Some(y)) => match (x.parse::<u64>(), y.parse::<u64>()) {
                (Ok(x), Ok(y)) => x.cmp(&y),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => x.cmp(y),
            },
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// The operators, longer ones before those they begin with.
const OPERATORS: [&str; 12] = ["=>", ">=", "=<", "<=", "!=", "~>", "~", "^", ">", "<", "=", ""];

/// Whether one constraint, such as `>=1.2` or `^1.2.3`, takes a version.
fn takes(constraint: &str, v: &Version) -> Result<bool, String> {
    let improper = || format!("improper constraint: {constraint:?}");
    let operator = OPERATORS.iter().find(|o| constraint.starts_with(**o)).copied().unwrap_or("");
    let text = constraint[operator.len()..].trim();
    let w = read(if text.is_empty() { "*" } else { text }, true).ok_or_else(improper)?;
    let known = w.numbers.iter().take(w.given).take_while(|n| n.is_some()).count();
    let [major, minor, patch] = [0, 1, 2].map(|i| if i < known { w.numbers[i].unwrap_or(0) } else { 0 });
    let base = Version {
        major,
        minor,
        patch,
        prerelease: w.prerelease.clone(),
        metadata: String::new(),
        original: String::new(),
    };
    // Only who asks for pre-releases gets them.
    if !v.prerelease.is_empty() && base.prerelease.is_empty() {
        return Ok(false);
    }
    let [x, y, _] = v.triple();
    let order = v.order(&base);
    let whole = known == 3;
    Ok(match operator {
        "" | "=" if whole => order.is_eq(),
        // A constraint that leaves numbers open is a range.
        "" | "=" | "~" | "~>" => match known {
            0 => true,
            1 => x == major && order.is_ge(),
            _ => x == major && y == minor && order.is_ge(),
        },
        "!=" if whole => order.is_ne(),
        "!=" => match known {
            0 => false,
            1 => x != major,
            _ => x != major || y != minor,
        },
        ">" if whole => order.is_gt(),
        ">" => match known {
            0 => false,
            1 => x > major,
            _ => x > major || (x == major && y > minor),
        },
        "<" => order.is_lt(),
        ">=" | "=>" => order.is_ge(),
        "<=" | "=<" if whole => order.is_le(),
        "<=" | "=<" => match known {
            0 => true,
            1 => x <= major,
            _ => x < major || (x == major && y <= minor),
        },
        // `^`: what is left of the first number that is not 0 stays.
        _ if order.is_lt() => false,
        _ if known == 0 => true,
        _ if major > 0 || known == 1 => x == major,
        _ if minor > 0 || known == 2 => x == 0 && y == minor,
        _ => v.triple() == base.triple(),
    })
}

/// Whether a version fits: alternatives parted by `||`, each a list of constraints or a range `1.2 - 1.4`.
fn fits(constraints: &str, v: &Version) -> Result<bool, String> {
    let mut any = false;
    for alternative in constraints.split("||") {
        let alternative = match alternative.split_once(" - ") {
            Some((low, high)) => format!(">={}, <={}", low.trim(), high.trim()),
            None => alternative.to_owned(),
        };
        let mut all = true;
        for one in parted(&alternative) {
            all &= takes(&one, v).map_err(|_| format!("improper constraint: {constraints:?}"))?;
        }
        any |= all;
    }
    Ok(any)
}

/// Constraints are parted by commas or blanks; an operator may stand apart from its version.
fn parted(text: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for word in text.split([',', ' ']).filter(|w| !w.is_empty()) {
        match out.last_mut() {
            Some(last) if OPERATORS.contains(&last.as_str()) => last.push_str(word),
            _ => out.push(word.to_owned()),
        }
    }
    if out.is_empty() { vec![text.trim().to_owned()] } else { out }
}

pub fn version<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::Object(Rc::new(Object::Version(Version::parse(c.text(0))?))))
}
pub fn compare<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    // The constraint is read first.
    let probe = Version {
        major: 0,
        minor: 0,
        patch: 0,
        prerelease: String::new(),
        metadata: String::new(),
        original: String::new(),
    };
    fits(c.text(0), &probe)?;
    let v = Version::parse(c.text(1))?;
    fits(c.text(0), &v).map(Value::Bool)
}
