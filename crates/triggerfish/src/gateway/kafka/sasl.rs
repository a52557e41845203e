//! SASL: who is asked for a user name and a password, and how they are shown to be known. RFC 4616 (PLAIN), RFC 5802 and 7677
//! (SCRAM).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};
use std::num::NonZeroU32;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    Plain,
    Scram256,
    Scram512,
}

impl Mechanism {
    pub fn named(name: &str) -> Result<Self, String> {
        match name {
            "" | "PLAIN" => Ok(Mechanism::Plain),
            "SCRAM-SHA-256" => Ok(Mechanism::Scram256),
            "SCRAM-SHA-512" => Ok(Mechanism::Scram512),
            other => Err(format!("{other:?} is none of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512")),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::Scram256 => "SCRAM-SHA-256",
            Mechanism::Scram512 => "SCRAM-SHA-512",
        }
    }
}

#[derive(Clone)]
pub struct Sasl {
    pub mechanism: Mechanism,
    pub user: String,
    pub password: String,
}

/// The most rounds of hashing that a broker may ask for.
const ROUNDS: u32 = 200_000;

/// What is said next, given what the broker said.
pub struct Conversation<'s> {
    sasl: &'s Sasl,
    step: u8,
    nonce: String,
    /// What the broker has to have signed in the end, and with which key.
    proof: Option<(hmac::Key, String)>,
}

impl<'s> Conversation<'s> {
    pub fn new(sasl: &'s Sasl) -> Self {
        Self::with_nonce(sasl, uuid::Uuid::new_v4().simple().to_string())
    }

    fn with_nonce(sasl: &'s Sasl, nonce: String) -> Self {
        Conversation { sasl, step: 0, nonce, proof: None }
    }

    /// None when all is said.
    pub fn next(&mut self, said: &[u8]) -> Result<Option<Vec<u8>>, String> {
        self.step += 1;
        let s = self.sasl;
        match (s.mechanism, self.step) {
            (Mechanism::Plain, 1) => Ok(Some(format!("\0{}\0{}", s.user, s.password).into_bytes())),
            (Mechanism::Plain, _) => Ok(None),
            (_, 1) => Ok(Some(format!("n,,{}", self.first()).into_bytes())),
            (_, 2) => self.answer(std::str::from_utf8(said).map_err(|e| e.to_string())?).map(Some),
            _ => {
                let verifier = said.strip_prefix(b"v=").and_then(|v| STANDARD.decode(v).ok()).unwrap_or_default();
                let signed = |(key, text): &(hmac::Key, String)| hmac::verify(key, text.as_bytes(), &verifier).is_ok();
                if self.proof.as_ref().is_some_and(signed) {
                    Ok(None)
                } else {
                    Err("SASL: the broker does not know the password".into())
                }
            }
        }
    }

    fn first(&self) -> String {
        let user = self.sasl.user.replace('=', "=3D").replace(',', "=2C");
        format!("n={user},r={}", self.nonce)
    }

    fn answer(&mut self, challenge: &str) -> Result<Vec<u8>, String> {
        let wrong = || "SASL: the broker's challenge makes no sense".to_owned();
        let part = |name: &str| challenge.split(',').find_map(|p| p.strip_prefix(name)).ok_or_else(wrong);
        let (nonce, salt, rounds) = (part("r=")?, part("s=")?, part("i=")?);
        if !nonce.starts_with(&self.nonce) {
            return Err(wrong());
        }
        let salt = STANDARD.decode(salt).map_err(|_| wrong())?;
        let rounds: NonZeroU32 = rounds.parse().map_err(|_| wrong())?;
        if rounds.get() > ROUNDS {
            return Err(format!("SASL: the broker asks for {rounds} rounds of hashing, {ROUNDS} are possible"));
        }
        let (derive, sign, hash) = match self.sasl.mechanism {
            Mechanism::Scram512 => (pbkdf2::PBKDF2_HMAC_SHA512, hmac::HMAC_SHA512, &digest::SHA512),
            _ => (pbkdf2::PBKDF2_HMAC_SHA256, hmac::HMAC_SHA256, &digest::SHA256),
        };
        let mut salted = vec![0; hash.output_len()];
        pbkdf2::derive(derive, rounds, &salt, self.sasl.password.as_bytes(), &mut salted);
        let mac = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(sign, key), text).as_ref().to_vec();
        let last = format!("c=biws,r={nonce}");
        let all = format!("{},{challenge},{last}", self.first());
        let client = mac(&salted, b"Client Key");
        let signature = mac(digest::digest(hash, &client).as_ref(), all.as_bytes());
        let proof: Vec<u8> = client.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        self.proof = Some((hmac::Key::new(sign, &mac(&salted, b"Server Key")), all));
        Ok(format!("{last},p={}", STANDARD.encode(proof)).into_bytes())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The example of RFC 7677.
    #[test]
    fn the_example_of_the_standard() {
        let sasl = Sasl { mechanism: Mechanism::Scram256, user: "user".into(), password: "pencil".into() };
        let mut c = Conversation::with_nonce(&sasl, "rOprNGfwEbeRWgbNEkqO".into());
        assert_eq!(c.next(b"").unwrap().unwrap(), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let challenge = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let answer = String::from_utf8(c.next(challenge).unwrap().unwrap()).unwrap();
        assert!(answer.ends_with("p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="), "{answer}");
        assert_eq!(c.next(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").unwrap(), None);
    }
}
