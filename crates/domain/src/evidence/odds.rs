//! Evidence in words: an e-value is how many times against chance something speaks.

use std::fmt;

/// The natural logarithm of an e-value, said as how seldom chance alone would bring as much: `1 in 1,100`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Odds(pub f64);

/// Larger ones are said as a power of ten.
const LN_WRITTEN_OUT_MAX: f64 = 20.0;

impl fmt::Display for Odds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 > LN_WRITTEN_OUT_MAX {
            return f.pad(&format!("1 in 10^{:.0}", self.0 / std::f64::consts::LN_10));
        }
        let whole = self.0.max(0.0).exp();
        if whole < 1.05 {
            return f.pad("1 in 1");
        }
        if whole < 10.0 {
            return f.pad(&format!("1 in {whole:.1}"));
        }
        // Two digits say enough.
        let unit = 10_f64.powf(whole.log10().floor() - 1.0);
        let mut digits = format!("{:.0}", (whole / unit).round() * unit);
        let mut at = digits.len();
        while at > 3 {
            at -= 3;
            digits.insert(at, ',');
        }
        f.pad(&format!("1 in {digits}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_e_value_is_said_as_a_chance() {
        for (ln_e, words) in [
            (-2.0, "1 in 1"),
            (1.0, "1 in 2.7"),
            (3.0, "1 in 20"),
            (7.01, "1 in 1,100"),
            (13.1, "1 in 490,000"),
            (19.99, "1 in 480,000,000"),
            (46.1, "1 in 10^20"),
        ] {
            assert_eq!(Odds(ln_e).to_string(), words);
        }
    }
}
