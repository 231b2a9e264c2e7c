//! How many controls a block gets. It never says which devices: those are taken from the far end of the roster.

/// Controls for each treated device, from the most telling to the most frugal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlRatio {
    /// 100 controls for each treated device.
    Hundred,
    /// 20 controls for each treated device.
    Twenty,
    /// 4 controls for each treated device.
    Four,
    /// One control for each treated device.
    One,
    /// One control for every four treated devices, or part of four.
    Quarter,
}

impl ControlRatio {
    /// Every ratio, the largest first.
    pub const ALL: [Self; 5] = [Self::Hundred, Self::Twenty, Self::Four, Self::One, Self::Quarter];

    /// The controls that a block of `treated` devices takes at this ratio; 0 for an empty block. Held at the greatest
    /// number that fits.
    #[must_use]
    pub fn controls_for(self, treated: u32) -> u32 {
        match self {
            Self::Hundred => treated.saturating_mul(100),
            Self::Twenty => treated.saturating_mul(20),
            Self::Four => treated.saturating_mul(4),
            Self::One => treated,
            Self::Quarter => treated.div_ceil(4),
        }
    }

    /// The largest ratio that leaves at least three quarters of `unused_pool` for later blocks; `None` where none does
    /// (a pool of fewer than four devices leaves none). Both arguments are devices.
    #[must_use]
    pub fn for_block(treated: u32, unused_pool: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|ratio| ratio.controls_for(treated) <= unused_pool / 4)
    }
}

/// How many controls a block of `treated` devices takes when `unused_pool` devices of its stratum and maintenance group
/// are unexposed and have not served as control; 0 where it gets none, and then the block says nothing.
#[must_use]
pub fn control_count(treated: u32, unused_pool: u32) -> u32 {
    ControlRatio::for_block(treated, unused_pool).map_or(0, |ratio| ratio.controls_for(treated))
}

/// The most devices that a block can treat and still get control, when `unused_pool` devices of its stratum and
/// maintenance group are unexposed and have not served as control, before any of them is treated. A wider block says
/// nothing, so a ring that is still to be cleared opens no wider; 0 where even a block of one would get no control.
#[must_use]
pub fn treated_with_control_max(unused_pool: u32) -> u32 {
    // t treated leave pool - t, of which a quarter is at most ceil(t / 4): t + 4 ceil(t / 4) <= pool.
    let fours = unused_pool / 8;
    let part = (unused_pool % 8).saturating_sub(4);
    fours * 4 + part
}

/// The widest block that a ring still to be cleared opens from a pool of so many unused devices:
/// [`treated_with_control_max`], and any width where not even a block of one would get control.
#[must_use]
pub fn block_size_max(unused_pool: u32) -> u32 {
    match treated_with_control_max(unused_pool) {
        0 => u32::MAX,
        widest => widest,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_largest_ratio_that_leaves_three_quarters_is_taken() {
        for (treated, unused_pool, expected) in [
            (10, 2_000_000, 1_000),
            (10, 4_000, 1_000),
            (10, 3_999, 200),
            (10, 799, 40),
            (10, 159, 10),
            (10, 39, 3),
            (10, 12, 3),
            (10, 11, 0),
            (1, 4, 1),
            (1, 3, 0),
            (3, 10, 1),
            (0, 1_000, 0),
            (u32::MAX, u32::MAX, 0),
        ] {
            assert_eq!(control_count(treated, unused_pool), expected, "{treated} treated, pool {unused_pool}");
        }
    }

    #[test]
    fn the_widest_block_with_control_is_the_widest() {
        for pool in 0..500 {
            let widest = (1..=pool).filter(|treated| control_count(*treated, pool - treated) > 0).max().unwrap_or(0);
            assert_eq!(treated_with_control_max(pool), widest, "pool {pool}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn a_block_never_takes_more_than_a_quarter_of_the_pool(treated: u32, unused_pool: u32) {
            let taken = u64::from(control_count(treated, unused_pool));
            prop_assert!(taken * 4 <= u64::from(unused_pool));
        }
    }
}
