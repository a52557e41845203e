//! Base64 and base32 as Go decodes them: line ends are skipped, and an error is the place of the byte that is wrong, which
//! `b64dec` and `b32dec` give as their value. Encoding base64 is the `base64` crate's.

const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

pub fn base64(source: &str) -> Result<Vec<u8>, usize> {
    decode(source, 6, BASE64)
}
pub fn base32(source: &str) -> Result<Vec<u8>, usize> {
    decode(source, 5, BASE32)
}

pub fn to_base32(source: &[u8]) -> String {
    let mut out = String::new();
    for part in source.chunks(5) {
        let mut whole = [0; 8];
        whole[3..3 + part.len()].copy_from_slice(part);
        let bits = u64::from_be_bytes(whole);
        let used = (part.len() * 8).div_ceil(5);
        out.extend((0..8).map(|i| if i < used { BASE32[(bits >> (35 - 5 * i)) as usize & 31] as char } else { '=' }));
    }
    out
}

/// Decodes padded groups; line ends are skipped. The error is the byte that does not belong there, as Go counts it.
fn decode(source: &str, bits: usize, alphabet: &[u8]) -> Result<Vec<u8>, usize> {
    let group = if bits == 6 { 4 } else { 8 };
    let input: Vec<(usize, u8)> = source.bytes().enumerate().filter(|(_, b)| !matches!(b, b'\n' | b'\r')).collect();
    let mut out = Vec::with_capacity(input.len() * bits / 8);
    for (g, chunk) in input.chunks(group).enumerate() {
        let start = chunk[0].0;
        let digits = chunk.iter().take_while(|(_, b)| alphabet.contains(b)).count();
        let whole = digits * bits / 8;
        // What fills the group up is padding, and nothing comes behind it; so many digits there can be.
        let padded = match (bits, digits) {
            (_, d) if d == group => true,
            (6, 2 | 3) | (5, 2 | 4 | 5 | 7) => chunk.len() == group && chunk[digits..].iter().all(|(_, b)| *b == b'='),
            _ => false,
        };
        if !padded {
            return Err(match chunk.get(digits) {
                Some((i, b'=')) if digits >= 2 => {
                    chunk[digits..].iter().find(|(_, b)| *b != b'=').map_or(source.len(), |(j, _)| (*j).max(*i))
                }
                Some((i, _)) => *i,
                None if bits == 6 => start,
                None => source.len(),
            });
        }
        if digits < group && (g + 1) * group < input.len() {
            return Err(input[(g + 1) * group].0);
        }
        let value = chunk[..digits]
            .iter()
            .fold(0u64, |v, (_, b)| v << bits | alphabet.iter().position(|a| a == b).unwrap_or(0) as u64);
        let value = value << (64 - digits * bits);
        out.extend_from_slice(&value.to_be_bytes()[..whole]);
    }
    Ok(out)
}
