//! The log through what disks and processes do to it.

mod damage;
mod disk;
mod power;

/// Random numbers that a seed repeats.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % limit
    }
}

/// Limits so small that everything happens often.
pub(crate) fn small() -> crate::Options {
    crate::Options {
        segment: 4096,
        log: 12 << 10,
        history_events: 60,
        relaxed_delay: std::time::Duration::from_millis(3),
        ..crate::Options::default()
    }
}
