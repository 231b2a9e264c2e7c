//! How many places of a row can serve as control, by chunk: so that a row of millions is neither counted nor searched place by place.

use serde::{Deserialize, Serialize};

use super::place::PlaceState;

/// Places of a chunk.
const CHUNK: u32 = 1_024;

/// Places that are fresh (see [`PlaceState::is_fresh`]), counted by chunk.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pool {
    chunks: Vec<u32>,
    all: u32,
}

impl Pool {
    pub(super) fn of(places: &[PlaceState]) -> Pool {
        let count = |chunk: &[PlaceState]| super::number(chunk.iter().filter(|place| place.is_fresh()).count());
        let chunks: Vec<u32> = places.chunks(CHUNK as usize).map(count).collect();
        Pool { all: chunks.iter().sum(), chunks }
    }

    /// All fresh places of the row.
    pub fn all(&self) -> u32 {
        self.all
    }

    /// A place is fresh no more.
    pub(super) fn spend(&mut self, index: u32) {
        if let Some(chunk) = self.chunks.get_mut((index / CHUNK) as usize) {
            *chunk = chunk.saturating_sub(1);
            self.all = self.all.saturating_sub(1);
        }
    }

    /// Fresh places at or behind an index.
    pub(super) fn from(&self, index: u32, places: &[PlaceState]) -> u32 {
        let chunk = (index / CHUNK) as usize;
        let end = ((chunk + 1) * CHUNK as usize).min(places.len());
        let partial = places.get(index as usize..end).unwrap_or_default().iter().filter(|place| place.is_fresh());
        self.chunks.get(chunk + 1..).unwrap_or_default().iter().sum::<u32>() + super::number(partial.count())
    }

    /// The fresh places among `from..to`, the farthest first.
    pub(super) fn backwards<'a>(
        &'a self,
        places: &'a [PlaceState],
        from: u32,
        to: u32,
    ) -> impl Iterator<Item = &'a PlaceState> {
        let to = to.min(super::number(places.len()));
        let chunks = (from / CHUNK..to.div_ceil(CHUNK))
            .rev()
            .filter(|chunk| self.chunks.get(*chunk as usize).is_some_and(|fresh| *fresh > 0));
        chunks.flat_map(move |chunk| {
            let (first, end) = ((chunk * CHUNK).max(from), ((chunk + 1) * CHUNK).min(to));
            let places = places.get(first as usize..end as usize).unwrap_or_default();
            places.iter().rev().filter(|place| place.is_fresh())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_what_is_found_from_any_place_on() {
        let mut places: Vec<PlaceState> =
            (0..5_000).map(|n| PlaceState::waiting(format!("d{n}").parse().unwrap(), 0)).collect();
        let mut pool = Pool::of(&places);
        for index in (0..5_000).filter(|index| index % 3 == 0 || (2_000..3_500).contains(index)) {
            places[index as usize].was_control = true;
            pool.spend(index);
        }
        assert_eq!(pool, Pool::of(&places));
        for from in [0, 1, 1_023, 1_024, 2_500, 4_999, 5_000] {
            let found: Vec<_> = pool.backwards(&places, from, 5_000).map(|place| place.device.clone()).collect();
            assert_eq!(found.len() as u32, pool.from(from, &places));
            assert!(found.iter().all(|device| device.as_str()[1..].parse::<u32>().unwrap() >= from));
        }
        assert_eq!(pool.backwards(&places, 0, 4_998).next().unwrap().device.as_str(), "d4997");
    }
}
