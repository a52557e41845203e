//! Digests, passwords, AES and chance.

use super::{Call, Outcome};
use crate::value::Value;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit, block_padding};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};

fn hex<'a>(algorithm: &'static digest::Algorithm, text: &str) -> Outcome<'a> {
    let sum = digest::digest(algorithm, text.as_bytes());
    Ok(Value::text(sum.as_ref().iter().map(|b| format!("{b:02x}")).collect::<String>()))
}
pub fn sha1<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    hex(&digest::SHA1_FOR_LEGACY_USE_ONLY, c.text(0))
}
pub fn sha256<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    hex(&digest::SHA256, c.text(0))
}
pub fn sha512<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    hex(&digest::SHA512, c.text(0))
}
pub fn adler32<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let (a, b) = c.text(0).bytes().fold((1u32, 0u32), |(a, b), byte| {
        let a = (a + u32::from(byte)) % 65_521;
        (a, (a + b) % 65_521)
    });
    Ok(Value::text((b << 16 | a).to_string()))
}

fn hashed(password: &str) -> Result<String, String> {
    // The scheme reads 72 bytes; the original refuses more.
    if password.len() > 72 {
        return Ok("failed to encrypt string with bcrypt: bcrypt: password length exceeds 72 bytes".into());
    }
    let mut salt = [0; 16];
    fill(&mut salt)?;
    let parts = bcrypt::hash_with_salt(password, 10, salt).map_err(|e| e.to_string())?;
    Ok(parts.format_for_version(bcrypt::Version::TwoA))
}
pub fn bcrypt<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    hashed(c.text(0)).map(Value::text)
}
pub fn htpasswd<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let user = c.text(0);
    if user.contains(':') {
        return Ok(Value::text(format!("invalid username: {user}")));
    }
    Ok(Value::text(format!("{user}:{}", hashed(c.text(1))?)))
}

/// Its counter is a `uint32`, which no expression can give: the original's types refuse every call, and so do these.
pub fn derive_password<'a>(_: &Call<'_, 'a>) -> Outcome<'a> {
    Err("derivePassword cannot be called from an expression: its first argument is a uint32".into())
}

/// The password's bytes, cut or filled up to 32.
fn key(password: &str) -> [u8; 32] {
    let mut out = [0; 32];
    let used = password.len().min(32);
    out[..used].copy_from_slice(&password.as_bytes()[..used]);
    out
}
/// AES-256-CBC; base64 of a random initialisation vector and the blocks.
pub fn encrypt<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let mut iv = [0; 16];
    fill(&mut iv)?;
    let cipher = cbc::Encryptor::<aes::Aes256>::new(&key(c.text(0)).into(), &iv.into());
    let blocks = cipher.encrypt_padded_vec::<block_padding::Pkcs7>(c.text(1).as_bytes());
    Ok(Value::text(STANDARD.encode([&iv[..], &blocks].concat())))
}
pub fn decrypt<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    if c.text(0).is_empty() && c.text(1).is_empty() {
        return Ok(Value::text(""));
    }
    let raw = crate::encoding::base64(c.text(1)).map_err(|at| format!("illegal base64 data at input byte {at}"))?;
    let Some((iv, blocks)) = raw.split_first_chunk::<16>() else {
        return Err(format!("runtime error: slice bounds out of range [:16] with capacity {}", raw.len()));
    };
    let cipher = cbc::Decryptor::<aes::Aes256>::new(&key(c.text(0)).into(), &(*iv).into());
    let plain = cipher
        .decrypt_padded_vec::<block_padding::Pkcs7>(blocks)
        .map_err(|_| "the text is not what encryptAES made with this password")?;
    Ok(Value::text(String::from_utf8_lossy(&plain)))
}

fn fill(bytes: &mut [u8]) -> Result<(), String> {
    SystemRandom::new().fill(bytes).map_err(|_| "the system gives no random bytes".to_owned())
}

/// A number below `end`, every one as likely.
fn below(end: u64) -> Result<u64, String> {
    let fair = u64::MAX - u64::MAX % end.max(1);
    loop {
        let mut raw = [0; 8];
        fill(&mut raw)?;
        let n = u64::from_le_bytes(raw);
        if n < fair {
            return Ok(n % end.max(1));
        }
    }
}
fn of_alphabet<'a>(c: &Call<'_, 'a>, fits: fn(&char) -> bool) -> Outcome<'a> {
    let alphabet: Vec<char> = (' '..='~').filter(fits).collect();
    let n = c.size(c.int(0), "requested random string length is less than 0")?;
    let pick = |_| below(alphabet.len() as u64).map(|i| alphabet[i as usize]);
    (0..n).map(pick).collect::<Result<String, String>>().map(Value::text)
}
pub fn rand_alpha<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    of_alphabet(c, char::is_ascii_alphabetic)
}
pub fn rand_alpha_num<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    of_alphabet(c, char::is_ascii_alphanumeric)
}
pub fn rand_numeric<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    of_alphabet(c, char::is_ascii_digit)
}
pub fn rand_ascii<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    of_alphabet(c, |_| true)
}
pub fn rand_bytes<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let mut raw = vec![0; c.size(c.int(0), "runtime error: makeslice: len out of range")?];
    fill(&mut raw)?;
    Ok(Value::text(STANDARD.encode(raw)))
}
/// From the first number to just below the second.
pub fn rand_int<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let (from, to) = (c.int(0), c.int(1));
    if to <= from {
        return Err("invalid argument to Intn".into());
    }
    Ok(Value::Int(from.wrapping_add(below(to.abs_diff(from))? as i64)))
}
pub fn shuffle<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let mut all: Vec<char> = c.text(0).chars().collect();
    for i in (1..all.len()).rev() {
        all.swap(i, below(i as u64 + 1)? as usize);
    }
    Ok(Value::text(all.into_iter().collect::<String>()))
}
pub fn uuid<'a>(_: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::text(uuid::Uuid::new_v4().to_string()))
}
