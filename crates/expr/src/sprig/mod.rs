//! The `sprig` functions of metadata and tag expressions, but for those that read the server's environment.
//!
//! Each behaves as in sprig 3.3, errors included. Values are not changed in place: `set`, `unset` and `merge` give a new
//! map and leave the event's own as it is.

mod certificates;
mod crypto;
mod dates;
mod decimal;
mod dicts;
mod lists;
mod numbers;
mod semver;
mod strings;
mod url;
mod values;
mod words;

pub use semver::Version;

use crate::value::{Dict, Function as Named, Holds, List, Object, Value};
use std::collections::BTreeMap;

/// The Go type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Go {
    Any,
    Text,
    Int,
    Uint32,
    Float,
    Bool,
    Map,
    List,
    Time,
    Certificate,
}

impl Go {
    fn shown(self) -> &'static str {
        match self {
            Go::Any => "interface {}",
            Go::Text => "string",
            Go::Int => "int",
            Go::Uint32 => "uint32",
            Go::Float => "float64",
            Go::Bool => "bool",
            Go::Map => "map[string]interface {}",
            Go::List => "[]interface {}",
            Go::Time => "time.Time",
            Go::Certificate => "sprig.certificate",
        }
    }
    /// Whether a value can be given; nil is the empty value of every type.
    fn takes(self, v: &Value) -> bool {
        match (self, v) {
            (Go::Any, _) | (_, Value::Nil) => true,
            (Go::Text, Value::Text(_))
            | (Go::Int, Value::Int(_))
            | (Go::Float, Value::Float(_))
            | (Go::Bool, Value::Bool(_))
            | (Go::Time, Value::Time(_)) => true,
            (Go::Map, Value::Map(m)) => matches!(m, Dict::Json(_) | Dict::Own(_, Holds::Any)),
            (Go::List, Value::List(l)) => l.holds() == Holds::Any,
            (Go::Certificate, Value::Object(o)) => matches!(**o, Object::Certificate { .. }),
            _ => false,
        }
    }
}

type Outcome<'a> = Result<Value<'a>, String>;
type Run = for<'c, 'a> fn(&Call<'c, 'a>) -> Outcome<'a>;

/// One function of the `sprig` map.
pub struct Function {
    /// What it is called.
    pub name: &'static str,
    /// As Go writes it; what it takes is read from here.
    pub signature: &'static str,
    takes: &'static [Go],
    /// The type of any further arguments.
    more: Option<Go>,
    run: Run,
}

/// The arguments of one call.
struct Call<'c, 'a> {
    values: &'c [Value<'a>],
    /// Bytes and elements that may still be produced.
    room: u64,
}

impl<'a> Call<'_, 'a> {
    fn any(&self, i: usize) -> &Value<'a> {
        self.values.get(i).unwrap_or(&Value::Nil)
    }
    fn text(&self, i: usize) -> &str {
        if let Value::Text(s) = self.any(i) { s } else { "" }
    }
    fn int(&self, i: usize) -> i64 {
        self.any(i).as_int().unwrap_or(0)
    }
    fn dict(&self, i: usize) -> BTreeMap<String, Value<'a>> {
        if let Value::Map(m) = self.any(i) {
            m.iter().map(|(k, v)| (k.into_owned(), v)).collect()
        } else {
            BTreeMap::new()
        }
    }
    fn rest(&self, from: usize) -> &[Value<'a>] {
        self.values.get(from..).unwrap_or(&[])
    }
    /// Refuses to make more than the evaluation may.
    fn room(&self, amount: u64) -> Result<(), String> {
        if amount <= self.room {
            Ok(())
        } else {
            Err(format!("memory budget exceeded: it would produce {amount} bytes or elements, {} are left", self.room))
        }
    }
    /// A count as a size, within what may be produced.
    fn size(&self, n: i64, refused: &str) -> Result<usize, String> {
        let n = u64::try_from(n).map_err(|_| refused.to_owned())?;
        self.room(n)?;
        usize::try_from(n).map_err(|e| e.to_string())
    }
}

macro_rules! table {
    ($($name:literal: ($($take:ident),*) $(... $more:ident)? -> $gives:literal, $run:path;)*) => {
        &[$(Function {
            name: $name,
            signature: concat!("func(", table!(@list $($take,)* $(rest $more,)?), ") ", $gives),
            takes: &[$(Go::$take),*],
            more: table!(@more $($more)?),
            run: $run,
        }),*]
    };
    (@more) => { None };
    (@more $more:ident) => { Some(Go::$more) };
    (@list) => { "" };
    (@list rest $last:ident,) => { concat!("...", table!(@go $last)) };
    (@list $last:ident,) => { table!(@go $last) };
    (@list $first:ident, $($others:tt)+) => { concat!(table!(@go $first), ", ", table!(@list $($others)+)) };
    (@go Any) => { "interface {}" };
    (@go Text) => { "string" };
    (@go Int) => { "int" };
    (@go Uint32) => { "uint32" };
    (@go Float) => { "float64" };
    (@go Bool) => { "bool" };
    (@go Map) => { "map[string]interface {}" };
    (@go List) => { "[]interface {}" };
    (@go Time) => { "time.Time" };
    (@go Certificate) => { "sprig.certificate" };
}

/// By name.
const FUNCTIONS: &[Function] = table! {
    "abbrev": (Int, Text) -> "string", strings::abbrev;
    "abbrevboth": (Int, Int, Text) -> "string", strings::abbrev_both;
    "add": () ... Any -> "int64", numbers::add;
    "add1": (Any) -> "int64", numbers::add1;
    "add1f": (Any) -> "float64", numbers::add1f;
    "addf": () ... Any -> "float64", numbers::addf;
    "adler32sum": (Text) -> "string", crypto::adler32;
    "ago": (Any) -> "string", dates::ago;
    "all": () ... Any -> "bool", values::all;
    "any": () ... Any -> "bool", values::any;
    "append": (Any, Any) -> "[]interface {}", lists::push;
    "atoi": (Text) -> "int", numbers::atoi;
    "b32dec": (Text) -> "string", strings::b32dec;
    "b32enc": (Text) -> "string", strings::b32enc;
    "b64dec": (Text) -> "string", strings::b64dec;
    "b64enc": (Text) -> "string", strings::b64enc;
    "base": (Text) -> "string", url::base;
    "bcrypt": (Text) -> "string", crypto::bcrypt;
    "biggest": (Any) ... Any -> "int64", numbers::max;
    "buildCustomCert": (Text, Text) -> "(sprig.certificate, error)", certificates::custom;
    "camelcase": (Text) -> "string", words::camel;
    "cat": () ... Any -> "string", strings::cat;
    "ceil": (Any) -> "float64", numbers::ceil;
    "chunk": (Int, Any) -> "[][]interface {}", lists::chunk;
    "clean": (Text) -> "string", url::clean;
    "coalesce": () ... Any -> "interface {}", values::coalesce;
    "compact": (Any) -> "[]interface {}", lists::compact;
    "concat": () ... Any -> "interface {}", lists::concat;
    "contains": (Text, Text) -> "bool", strings::contains;
    "date": (Text, Any) -> "string", dates::date;
    "dateInZone": (Text, Any, Text) -> "string", dates::date_in_zone;
    "dateModify": (Text, Time) -> "time.Time", dates::modify;
    "date_in_zone": (Text, Any, Text) -> "string", dates::date_in_zone;
    "date_modify": (Text, Time) -> "time.Time", dates::modify;
    "decryptAES": (Text, Text) -> "(string, error)", crypto::decrypt;
    "deepCopy": (Any) -> "interface {}", values::copy;
    "deepEqual": (Any, Any) -> "bool", values::deep_equal;
    "default": (Any) ... Any -> "interface {}", values::default;
    "derivePassword": (Uint32, Text, Text, Text, Text) -> "string", crypto::derive_password;
    "dict": () ... Any -> "map[string]interface {}", dicts::dict;
    "dig": () ... Any -> "(interface {}, error)", dicts::dig;
    "dir": (Text) -> "string", url::dir;
    "div": (Any, Any) -> "int64", numbers::div;
    "divf": (Any) ... Any -> "float64", numbers::divf;
    "duration": (Any) -> "string", dates::duration;
    "durationRound": (Any) -> "string", dates::duration_round;
    "empty": (Any) -> "bool", values::empty_value;
    "encryptAES": (Text, Text) -> "(string, error)", crypto::encrypt;
    "ext": (Text) -> "string", url::ext;
    "fail": (Text) -> "(string, error)", values::fail;
    "first": (Any) -> "interface {}", lists::first;
    "float64": (Any) -> "float64", numbers::float64;
    "floor": (Any) -> "float64", numbers::floor;
    "fromJson": (Text) -> "interface {}", values::from_json;
    "genCA": (Text, Int) -> "(sprig.certificate, error)", certificates::authority;
    "genCAWithKey": (Text, Int, Text) -> "(sprig.certificate, error)", certificates::authority;
    "genPrivateKey": (Text) -> "string", certificates::private_key;
    "genSelfSignedCert": (Text, List, List, Int) -> "(sprig.certificate, error)", certificates::self_signed;
    "genSelfSignedCertWithKey": (Text, List, List, Int, Text) -> "(sprig.certificate, error)", certificates::self_signed;
    "genSignedCert": (Text, List, List, Int, Certificate) -> "(sprig.certificate, error)", certificates::signed;
    "genSignedCertWithKey": (Text, List, List, Int, Certificate, Text) -> "(sprig.certificate, error)", certificates::signed;
    "get": (Map, Text) -> "interface {}", dicts::get;
    "getHostByName": (Text) -> "string", url::host_by_name;
    "has": (Any, Any) -> "bool", lists::has;
    "hasKey": (Map, Text) -> "bool", dicts::has_key;
    "hasPrefix": (Text, Text) -> "bool", strings::has_prefix;
    "hasSuffix": (Text, Text) -> "bool", strings::has_suffix;
    "hello": () -> "string", strings::hello;
    "htmlDate": (Any) -> "string", dates::html_date;
    "htmlDateInZone": (Any, Text) -> "string", dates::html_date_in_zone;
    "htpasswd": (Text, Text) -> "string", crypto::htpasswd;
    "indent": (Int, Text) -> "string", strings::indent;
    "initial": (Any) -> "[]interface {}", lists::initial;
    "initials": (Text) -> "string", words::initials;
    "int": (Any) -> "int", numbers::int;
    "int64": (Any) -> "int64", numbers::int64;
    "isAbs": (Text) -> "bool", url::is_absolute;
    "join": (Text, Any) -> "string", strings::join;
    "kebabcase": (Text) -> "string", words::kebab;
    "keys": () ... Map -> "[]string", dicts::keys;
    "kindIs": (Text, Any) -> "bool", values::kind_is;
    "kindOf": (Any) -> "string", values::kind_of;
    "last": (Any) -> "interface {}", lists::last;
    "list": () ... Any -> "[]interface {}", lists::list;
    "lower": (Text) -> "string", strings::lower;
    "max": (Any) ... Any -> "int64", numbers::max;
    "maxf": (Any) ... Any -> "float64", numbers::maxf;
    "merge": (Map) ... Map -> "interface {}", dicts::merge;
    "mergeOverwrite": (Map) ... Map -> "interface {}", dicts::merge_overwrite;
    "min": (Any) ... Any -> "int64", numbers::min;
    "minf": (Any) ... Any -> "float64", numbers::minf;
    "mod": (Any, Any) -> "int64", numbers::modulo;
    "mul": (Any) ... Any -> "int64", numbers::mul;
    "mulf": (Any) ... Any -> "float64", numbers::mulf;
    "mustAppend": (Any, Any) -> "([]interface {}, error)", lists::push;
    "mustChunk": (Int, Any) -> "([][]interface {}, error)", lists::chunk;
    "mustCompact": (Any) -> "([]interface {}, error)", lists::compact;
    "mustDateModify": (Text, Time) -> "(time.Time, error)", dates::must_modify;
    "mustDeepCopy": (Any) -> "(interface {}, error)", values::copy;
    "mustFirst": (Any) -> "(interface {}, error)", lists::first;
    "mustFromJson": (Text) -> "(interface {}, error)", values::must_from_json;
    "mustHas": (Any, Any) -> "(bool, error)", lists::has;
    "mustInitial": (Any) -> "([]interface {}, error)", lists::initial;
    "mustLast": (Any) -> "(interface {}, error)", lists::last;
    "mustMerge": (Map) ... Map -> "(interface {}, error)", dicts::merge;
    "mustMergeOverwrite": (Map) ... Map -> "(interface {}, error)", dicts::merge_overwrite;
    "mustPrepend": (Any, Any) -> "([]interface {}, error)", lists::prepend;
    "mustPush": (Any, Any) -> "([]interface {}, error)", lists::push;
    "mustRegexFind": (Text, Text) -> "(string, error)", strings::regex_find;
    "mustRegexFindAll": (Text, Text, Int) -> "([]string, error)", strings::regex_find_all;
    "mustRegexMatch": (Text, Text) -> "(bool, error)", strings::must_regex_match;
    "mustRegexReplaceAll": (Text, Text, Text) -> "(string, error)", strings::regex_replace;
    "mustRegexReplaceAllLiteral": (Text, Text, Text) -> "(string, error)", strings::regex_replace_literal;
    "mustRegexSplit": (Text, Text, Int) -> "([]string, error)", strings::regex_split;
    "mustRest": (Any) -> "([]interface {}, error)", lists::rest;
    "mustReverse": (Any) -> "([]interface {}, error)", lists::reverse;
    "mustSlice": (Any) ... Any -> "(interface {}, error)", lists::slice;
    "mustToDate": (Text, Text) -> "(time.Time, error)", dates::must_to_date;
    "mustToJson": (Any) -> "(string, error)", values::must_to_json;
    "mustToPrettyJson": (Any) -> "(string, error)", values::must_to_pretty_json;
    "mustToRawJson": (Any) -> "(string, error)", values::to_raw_json;
    "mustUniq": (Any) -> "([]interface {}, error)", lists::uniq;
    "mustWithout": (Any) ... Any -> "([]interface {}, error)", lists::without;
    "must_date_modify": (Text, Time) -> "(time.Time, error)", dates::must_modify;
    "nindent": (Int, Text) -> "string", strings::nindent;
    "nospace": (Text) -> "string", strings::nospace;
    "now": () -> "time.Time", dates::now;
    "omit": (Map) ... Text -> "map[string]interface {}", dicts::omit;
    "osBase": (Text) -> "string", url::base;
    "osClean": (Text) -> "string", url::clean;
    "osDir": (Text) -> "string", url::dir;
    "osExt": (Text) -> "string", url::ext;
    "osIsAbs": (Text) -> "bool", url::is_absolute;
    "pick": (Map) ... Text -> "map[string]interface {}", dicts::pick;
    "pluck": (Text) ... Map -> "[]interface {}", dicts::pluck;
    "plural": (Text, Text, Int) -> "string", strings::plural;
    "prepend": (Any, Any) -> "[]interface {}", lists::prepend;
    "push": (Any, Any) -> "[]interface {}", lists::push;
    "quote": () ... Any -> "string", strings::quote;
    "randAlpha": (Int) -> "string", crypto::rand_alpha;
    "randAlphaNum": (Int) -> "string", crypto::rand_alpha_num;
    "randAscii": (Int) -> "string", crypto::rand_ascii;
    "randBytes": (Int) -> "(string, error)", crypto::rand_bytes;
    "randInt": (Int, Int) -> "int", crypto::rand_int;
    "randNumeric": (Int) -> "string", crypto::rand_numeric;
    "regexFind": (Text, Text) -> "string", strings::regex_find;
    "regexFindAll": (Text, Text, Int) -> "[]string", strings::regex_find_all;
    "regexMatch": (Text, Text) -> "bool", strings::regex_match;
    "regexQuoteMeta": (Text) -> "string", strings::regex_quote_meta;
    "regexReplaceAll": (Text, Text, Text) -> "string", strings::regex_replace;
    "regexReplaceAllLiteral": (Text, Text, Text) -> "string", strings::regex_replace_literal;
    "regexSplit": (Text, Text, Int) -> "[]string", strings::regex_split;
    "repeat": (Int, Text) -> "string", strings::repeat;
    "replace": (Text, Text, Text) -> "string", strings::replace;
    "rest": (Any) -> "[]interface {}", lists::rest;
    "reverse": (Any) -> "[]interface {}", lists::reverse;
    "round": (Any, Int) ... Float -> "float64", numbers::round;
    "semver": (Text) -> "(*semver.Version, error)", semver::version;
    "semverCompare": (Text, Text) -> "(bool, error)", semver::compare;
    "seq": () ... Int -> "string", numbers::seq;
    "set": (Map, Text, Any) -> "map[string]interface {}", dicts::set;
    "sha1sum": (Text) -> "string", crypto::sha1;
    "sha256sum": (Text) -> "string", crypto::sha256;
    "sha512sum": (Text) -> "string", crypto::sha512;
    "shuffle": (Text) -> "string", crypto::shuffle;
    "slice": (Any) ... Any -> "interface {}", lists::slice;
    "snakecase": (Text) -> "string", words::snake;
    "sortAlpha": (Any) -> "[]string", lists::sort_alpha;
    "split": (Text, Text) -> "map[string]string", strings::split;
    "splitList": (Text, Text) -> "[]string", strings::split_list;
    "splitn": (Text, Int, Text) -> "map[string]string", strings::splitn;
    "squote": () ... Any -> "string", strings::squote;
    "sub": (Any, Any) -> "int64", numbers::sub;
    "subf": (Any) ... Any -> "float64", numbers::subf;
    "substr": (Int, Int, Text) -> "string", strings::substr;
    "swapcase": (Text) -> "string", words::swap_case;
    "ternary": (Any, Any, Bool) -> "interface {}", values::ternary;
    "title": (Text) -> "string", words::title;
    "toDate": (Text, Text) -> "time.Time", dates::to_date;
    "toDecimal": (Any) -> "int64", numbers::to_decimal;
    "toJson": (Any) -> "string", values::to_json;
    "toPrettyJson": (Any) -> "string", values::to_pretty_json;
    "toRawJson": (Any) -> "string", values::to_raw_json;
    "toString": (Any) -> "string", strings::to_string;
    "toStrings": (Any) -> "[]string", lists::to_strings;
    "trim": (Text) -> "string", strings::trim;
    "trimAll": (Text, Text) -> "string", strings::trim_all;
    "trimPrefix": (Text, Text) -> "string", strings::trim_prefix;
    "trimSuffix": (Text, Text) -> "string", strings::trim_suffix;
    "trimall": (Text, Text) -> "string", strings::trim_all;
    "trunc": (Int, Text) -> "string", strings::trunc;
    "tuple": () ... Any -> "[]interface {}", lists::list;
    "typeIs": (Text, Any) -> "bool", values::type_is;
    "typeIsLike": (Text, Any) -> "bool", values::type_is_like;
    "typeOf": (Any) -> "string", values::type_of;
    "uniq": (Any) -> "[]interface {}", lists::uniq;
    "unixEpoch": (Time) -> "string", dates::unix_epoch;
    "unset": (Map, Text) -> "map[string]interface {}", dicts::unset;
    "until": (Int) -> "[]int", numbers::until;
    "untilStep": (Int, Int, Int) -> "[]int", numbers::until_step;
    "untitle": (Text) -> "string", words::untitle;
    "upper": (Text) -> "string", strings::upper;
    "urlJoin": (Map) -> "string", url::join;
    "urlParse": (Text) -> "map[string]interface {}", url::parse;
    "uuidv4": () -> "string", crypto::uuid;
    "values": (Map) -> "[]interface {}", dicts::values;
    "without": (Any) ... Any -> "[]interface {}", lists::without;
    "wrap": (Int, Text) -> "string", words::wrap;
    "wrapWith": (Int, Text, Text) -> "string", words::wrap_with;
};
/// The `sprig` function of a name.
pub fn function(name: &str) -> Option<&'static Function> {
    FUNCTIONS.binary_search_by(|f| f.name.cmp(name)).ok().map(|i| &FUNCTIONS[i])
}

/// The function that a misspelt name means.
pub fn closest(name: &str) -> Option<&'static str> {
    crate::check::closest(name, FUNCTIONS.iter().map(|f| f.name))
}

/// The whole map, for expressions that name it without a member.
pub fn map<'a>() -> Value<'a> {
    Value::map(FUNCTIONS.iter().map(|f| (f.name.to_owned(), f.value())).collect())
}

impl Function {
    pub(crate) fn value<'a>(&self) -> Value<'a> {
        Value::function(Named { name: self.name, signature: self.signature, sprig: true })
    }

    /// Steps that a call counts for: what takes long by nature is dear.
    pub fn steps(&self) -> u64 {
        match self.name {
            "bcrypt" | "htpasswd" | "getHostByName" => 100_000,
            "genPrivateKey" => 900_000,
            name if name.starts_with("gen") => 300_000,
            _ => 1,
        }
    }

    /// The Go type of its parameter number `i`; none where it takes no such one.
    pub fn takes(&self, i: usize) -> Option<&'static str> {
        self.takes.get(i).copied().or(self.more).map(Go::shown)
    }

    /// Calls it; `room` is what the evaluation may still produce.
    pub fn call<'a>(&self, values: &[Value<'a>], room: u64) -> Outcome<'a> {
        self.fits(values)?;
        (self.run)(&Call { values, room })
    }

    fn fits(&self, values: &[Value]) -> Result<(), String> {
        let (given, wanted) = (values.len(), self.takes.len());
        if given < wanted || (given > wanted && self.more.is_none()) {
            let least = if self.more.is_some() { "at least " } else { "" };
            return Err(format!("invalid number of arguments: expected {least}{wanted}, got {given}"));
        }
        for (i, v) in values.iter().enumerate() {
            let Some(want) = self.takes.get(i).copied().or(self.more) else { continue };
            if !want.takes(v) {
                let (have, want) = (v.type_name(), want.shown());
                return Err(if i < wanted {
                    format!("reflect: Call using {have} as type {want}")
                } else {
                    format!("reflect: cannot use {have} as type {want} in Call")
                });
            }
        }
        Ok(())
    }
}

/// Elements and bytes of a result, to be counted.
pub fn weight(v: &Value) -> usize {
    match v {
        Value::Text(s) => s.len(),
        Value::Bytes(b) => b.len(),
        Value::List(List::Own(l, _)) => l.iter().map(|x| if let Value::Text(s) = x { 1 + s.len() } else { 1 }).sum(),
        Value::Map(m) => m.len(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        assert!(FUNCTIONS.windows(2).all(|w| w[0].name < w[1].name));
        assert!(function("trim").is_some() && function("env").is_none());
    }
}
