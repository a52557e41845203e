//! Names that follow from what caused them, so that doing it twice meets what is already there.

use ring::digest;

/// The alphabet of generated suffixes.
const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// Five characters that follow from what caused the name: (event id, binding uid). Five characters meet by chance among many
/// thousands of workflows, so that there is a next suffix for when another cause has this one.
pub fn suffix(event_id: &str, binding_uid: &str, attempt: u8) -> String {
    let mut text = event_id.as_bytes().to_vec();
    text.push(0);
    text.extend_from_slice(binding_uid.as_bytes());
    if attempt > 0 {
        text.push(attempt);
    }
    digest::digest(&digest::SHA256, &text).as_ref()[..5]
        .iter()
        .map(|b| ALPHABET[*b as usize % ALPHABET.len()] as char)
        .collect()
}

/// The name of a workflow that an event starts: (name, generateName).
pub fn workflow_name(
    name: Option<&str>,
    generate_name: Option<&str>,
    template: &str,
    suffix: &str,
) -> (String, String) {
    let prefix = generate_name.map_or_else(|| format!("{template}-"), str::to_owned);
    let full = name.map_or_else(|| format!("{prefix}{suffix}"), str::to_owned);
    (full, prefix)
}
