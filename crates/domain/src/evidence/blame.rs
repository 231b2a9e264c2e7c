//! Who is to blame: which of many named suspects (releases, attribute values, strata) explain a rise in failures.
//! It accuses and never halts; it looks at e-values that processes already have, and never combines them.

use thiserror::Error;

use super::share::Share;

/// One who may be to blame, with the evidence against it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Suspect<K> {
    name: K,
    ln_e: f64,
}

/// Why evidence was refused.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[error("{given} is no logarithm of an e-value: it must be finite")]
pub struct SuspectError {
    /// The number that was given.
    pub given: f64,
}

impl SuspectError {
    /// The stable word for this error.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        "ln_e_not_finite"
    }
}

impl<K> Suspect<K> {
    /// A suspect with ln of its e-value, such as [`HaltProcess::ln_e`](super::HaltProcess::ln_e) gives. What has several
    /// e-values (two signals, two bands) brings their average ([`ln_weighted_sum`](super::ln_weighted_sum)) and stands once.
    ///
    /// # Errors
    /// [`SuspectError`] for an infinity or a not-a-number; every process here gives finite ones.
    pub fn new(name: K, ln_e: f64) -> Result<Self, SuspectError> {
        if ln_e.is_finite() { Ok(Self { name, ln_e }) } else { Err(SuspectError { given: ln_e }) }
    }
}

/// A suspect after the judgement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accused<K> {
    /// Who it is.
    pub name: K,
    /// ln of the e-value against it.
    pub ln_e: f64,
    /// Whether it is to blame.
    pub blamed: bool,
}

/// All suspects, the strongest evidence first and equal evidence by name, each with whether it is to blame: with the
/// K e-values in falling order, the first k are, for the largest k whose k-th e-value is at least `K / (alpha k)`.
///
/// - **Null hypothesis**: each suspect's own, that of the process which its e-value comes from.
/// - **Filtration**: that of the processes, all in one order. They may be judged at any moment, and that moment may
///   be chosen by what they say.
/// - **Units**: among the blamed, the expected share of those whose null holds is at most `alpha` (a false discovery rate).
/// - **Source**: Wang and Ramdas's e-BH procedure.
///
/// **It needs no independence.** Suspects may share controls, hold each other's devices (a value and its strata) or fail
/// for each other's reasons: the bound holds under any dependence. It does not tell a cause from what goes along with
/// it: a stratum may be blamed for its value's fault, and then both are.
#[must_use]
pub fn blamed<K: Clone + Ord>(suspects: &[Suspect<K>], alpha: Share) -> Vec<Accused<K>> {
    let mut ranked: Vec<&Suspect<K>> = suspects.iter().collect();
    ranked.sort_by(|a, b| b.ln_e.total_cmp(&a.ln_e).then_with(|| a.name.cmp(&b.name)));
    let ln_needed_alone = (suspects.len() as f64).ln() - alpha.get().ln();
    let suffices =
        |(place, suspect): (usize, &&Suspect<K>)| suspect.ln_e >= ln_needed_alone - ((place + 1) as f64).ln();
    let count = ranked.iter().enumerate().rposition(suffices).map_or(0, |place| place + 1);
    let accused = |(place, suspect): (usize, &Suspect<K>)| Accused {
        name: suspect.name.clone(),
        ln_e: suspect.ln_e,
        blamed: place < count,
    };
    ranked.into_iter().enumerate().map(accused).collect()
}

#[cfg(test)]
mod tests;
