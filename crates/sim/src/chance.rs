//! Chance by counter: every draw is a function of the seed, what is drawn, the device and a number.
//!
//! Nothing is drawn in an order, so neither the order of events nor the number of threads can change what is drawn.

/// How many streams there are, and one more: they are numbered from 1.
const STREAMS: usize = 14;

/// What is drawn. Two streams never share a draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// When in its interval a device checks in.
    Phase = 1,
    /// Whether a device is away in a slot of time.
    Away,
    /// Whether a device is a laptop, and its hours.
    Rhythm,
    /// Whether a device belongs to a site that goes out.
    Outage,
    /// Whether a fault hits a device.
    Hit,
    /// When a fault shows.
    Onset,
    /// How long a device takes to fetch, and to come up.
    Pace,
    /// Whether a device fails for reasons of its own.
    Misfortune,
    /// What the network does to a message.
    Network,
    /// When a device joins.
    Joining,
    /// A device's place in the order of a rival's rule.
    Rank,
    /// What befalls a server.
    Server,
    /// Which server a device talks to.
    Route,
}

/// The seed of a run: a key for each stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seed([u64; STREAMS]);

impl Seed {
    pub(crate) const fn new(seed: u64) -> Seed {
        let mut keys = [0; STREAMS];
        let mut stream = 0;
        while stream < STREAMS {
            keys[stream] = mix(seed ^ (stream as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            stream += 1;
        }
        Seed(keys)
    }

    /// 64 even bits.
    pub(crate) fn bits(&self, stream: Stream, device: u32, number: u64) -> u64 {
        let key = self.0[stream as usize];
        mix(mix(key.wrapping_add(u64::from(device))).wrapping_add(number.wrapping_mul(0xd6e8_feb8_6659_fd93)))
    }

    /// Uniform in [0, 1).
    pub(crate) fn share(&self, stream: Stream, device: u32, number: u64) -> f64 {
        (self.bits(stream, device, number) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform among `from..=to`.
    pub(crate) fn between(&self, stream: Stream, device: u32, number: u64, (from, to): (u64, u64)) -> u64 {
        from + self.bits(stream, device, number) % (to.saturating_sub(from) + 1)
    }
}

/// The finishing steps of splitmix64: every input bit reaches every output bit.
const fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_even_and_streams_do_not_follow_each_other() {
        let seed = Seed::new(7);
        let n = 100_000;
        let mean = |stream| (0..n).map(|d| seed.share(stream, d, 0)).sum::<f64>() / f64::from(n);
        assert!((mean(Stream::Away) - 0.5).abs() < 0.005);
        let both = (0..n).filter(|d| seed.share(Stream::Away, *d, 0) < 0.1 && seed.share(Stream::Hit, *d, 0) < 0.1);
        assert!((both.count() as f64 / f64::from(n) - 0.01).abs() < 0.002);
        let next = (0..n).filter(|d| seed.share(Stream::Away, *d, 0) < 0.1 && seed.share(Stream::Away, *d, 1) < 0.1);
        assert!((next.count() as f64 / f64::from(n) - 0.01).abs() < 0.002);
    }
}
