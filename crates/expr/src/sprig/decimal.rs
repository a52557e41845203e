//! Decimal arithmetic without rounding, for the functions that end in `f`: 0.1 and 0.2 are 0.3.

use num_bigint::BigInt;
use std::cmp::Ordering;

/// `digits × 10^exponent`.
#[derive(Debug, Clone)]
pub struct Decimal {
    digits: BigInt,
    exponent: i32,
}

/// Digits behind the point that a division keeps.
const PRECISION: i32 = 16;

impl Decimal {
    pub fn of(f: f64) -> Result<Self, String> {
        if !f.is_finite() {
            return Err(format!("Cannot create a Decimal from {}", crate::value::go_float(f)));
        }
        let text = format!("{f:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let digits = format!("{whole}{part}").parse().map_err(|_| format!("Cannot create a Decimal from {text}"))?;
        Ok(Self { digits, exponent: exponent - part.len() as i32 })
    }

    pub fn float(&self) -> f64 {
        format!("{}e{}", self.digits, self.exponent).parse().unwrap_or(f64::NAN)
    }

    /// Both with the same exponent.
    fn level(self, other: Self) -> (BigInt, BigInt, i32) {
        let exponent = self.exponent.min(other.exponent);
        (self.scaled(exponent), other.scaled(exponent), exponent)
    }
    fn scaled(self, exponent: i32) -> BigInt {
        self.digits * BigInt::from(10).pow((self.exponent - exponent).unsigned_abs())
    }

    pub fn add(self, other: Self) -> Result<Self, String> {
        let (a, b, exponent) = self.level(other);
        Ok(Self { digits: a + b, exponent })
    }
    pub fn sub(self, other: Self) -> Result<Self, String> {
        let (a, b, exponent) = self.level(other);
        Ok(Self { digits: a - b, exponent })
    }
    pub fn mul(self, other: Self) -> Result<Self, String> {
        Ok(Self { digits: self.digits * other.digits, exponent: self.exponent.saturating_add(other.exponent) })
    }
    /// To sixteen digits behind the point, half away from zero.
    pub fn div(self, other: Self) -> Result<Self, String> {
        if other.digits == BigInt::ZERO {
            return Err("decimal division by 0".into());
        }
        let shift = self.exponent - other.exponent + PRECISION;
        let scale = BigInt::from(10).pow(shift.unsigned_abs());
        let (a, b) = if shift >= 0 { (self.digits * scale, other.digits) } else { (self.digits, other.digits * scale) };
        let (mut quotient, rest) = (&a / &b, &a % &b);
        let twice: BigInt = rest.magnitude().clone().into();
        if (twice * 2u8).cmp(&b.magnitude().clone().into()) != Ordering::Less {
            let down = (a < BigInt::ZERO) != (b < BigInt::ZERO);
            quotient += if down { -1 } else { 1 };
        }
        Ok(Self { digits: quotient, exponent: -PRECISION })
    }
}
