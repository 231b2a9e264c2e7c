//! When which device wakes: a wheel of narrow slots for the near future, sorted leftovers for the far one.
//!
//! Devices of one slot wake in the order of their numbers, whatever the order in which they were put there.

use std::collections::BTreeMap;

/// Slots on the wheel.
const WHEEL: u64 = 8_192;

/// Wakes to come. Time is counted in slots since the start.
pub(crate) struct Calendar {
    next: u64,
    waiting: usize,
    wheel: Vec<Vec<u32>>,
    far: BTreeMap<u64, Vec<u32>>,
}

impl Calendar {
    pub(crate) fn new() -> Calendar {
        Calendar { next: 0, waiting: 0, wheel: vec![Vec::new(); WHEEL as usize], far: BTreeMap::new() }
    }

    /// Puts a device into a slot; one that is over already becomes the next one.
    pub(crate) fn put(&mut self, slot: u64, device: u32) {
        let slot = slot.max(self.next);
        self.waiting += 1;
        if slot - self.next < WHEEL {
            if let Some(devices) = self.wheel.get_mut((slot % WHEEL) as usize) {
                devices.push(device);
            }
        } else {
            self.far.entry(slot).or_default().push(device);
        }
    }

    /// Whether nobody wakes any more.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Goes on to a slot, where nobody wakes before it; else it stays.
    pub(crate) fn skip_to(&mut self, slot: u64) {
        if self.is_empty() {
            self.next = self.next.max(slot);
        }
    }

    /// The devices of the next slot, which is over then.
    pub(crate) fn turn(&mut self) -> Vec<u32> {
        let slot = self.next;
        self.next += 1;
        let mut devices = self.wheel.get_mut((slot % WHEEL) as usize).map(std::mem::take).unwrap_or_default();
        devices.extend(self.far.remove(&slot).unwrap_or_default());
        self.waiting -= devices.len();
        devices.sort_unstable();
        devices.dedup();
        devices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_and_far_wakes_come_in_their_slot_and_in_the_order_of_devices() {
        let mut calendar = Calendar::new();
        calendar.put(20_000, 4);
        calendar.put(2, 9);
        calendar.put(2, 3);
        calendar.put(2, 3);
        assert_eq!((calendar.turn(), calendar.turn(), calendar.turn()), (vec![], vec![], vec![3, 9]));
        calendar.put(0, 7);
        assert_eq!(calendar.turn(), vec![7]);
        for _ in 4..19_999 {
            assert!(calendar.turn().is_empty());
        }
        calendar.put(20_000, 2);
        calendar.skip_to(50_000);
        assert!(calendar.turn().is_empty());
        assert_eq!(calendar.turn(), vec![2, 4]);
        calendar.skip_to(50_000);
        calendar.put(3, 1);
        assert_eq!(calendar.turn(), vec![1]);
    }
}
