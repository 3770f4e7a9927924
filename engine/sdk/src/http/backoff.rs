//! Pauses between attempts.

use super::Options;
use crate::{Error, ErrorKind, Result, Retry, Stop};
use std::time::Duration;

/// How often a wish to stop is looked for during a pause.
const TICK: Duration = Duration::from_millis(100);

/// Pauses for one series of attempts: each twice as long as the one before, scattered between a half and the whole of
/// that, never longer than [`Options::longest_pause`].
#[derive(Debug)]
pub struct Backoff {
    attempt: u32,
    retries: u32,
    first: Duration,
    longest: Duration,
    random: u64,
    stop: Stop,
}

impl Backoff {
    pub(super) fn new(options: &Options, seed: u64, stop: Stop) -> Self {
        let (retries, first, longest) = (options.retries, options.first_pause, options.longest_pause);
        Self { attempt: 1, retries, first, longest, random: seed, stop }
    }

    /// Starts anew, after a success.
    pub fn reset(&mut self) {
        self.attempt = 1;
    }

    /// Waits until the next attempt may start.
    ///
    /// # Errors
    /// The error given, when trying again cannot help or was done often enough; `Cancelled` if the run should stop.
    pub async fn wait(&mut self, error: Error) -> Result<()> {
        let Some(length) = self.next_pause(&error) else {
            return Err(if self.attempt > 1 { error.with("attempt", self.attempt) } else { error });
        };
        tracing::debug!(%error, attempt = self.attempt, ?length, "trying again after a pause");
        self.attempt += 1;
        pause(&self.stop, length).await
    }

    /// Waits until the next attempt may start, also after an error that says that trying again cannot help.
    ///
    /// # Errors
    /// As for [`wait`](Self::wait).
    pub async fn insist(&mut self, error: Error) -> Result<()> {
        if error.retry() != Retry::Never || self.attempt > self.retries {
            return self.wait(error).await;
        }
        let length = self.grown();
        tracing::debug!(%error, attempt = self.attempt, ?length, "insisting after a pause");
        self.attempt += 1;
        pause(&self.stop, length).await
    }

    /// The pause before the next attempt; `None` if there is to be none.
    fn next_pause(&mut self, error: &Error) -> Option<Duration> {
        if self.attempt > self.retries {
            return None;
        }
        match error.retry() {
            Retry::Never => None,
            Retry::After(asked) if asked > self.longest => None,
            Retry::After(asked) => Some(asked.max(self.grown())),
            Retry::WithBackoff => Some(self.grown()),
        }
    }

    fn grown(&mut self) -> Duration {
        let doubled = 1u32.checked_shl(self.attempt - 1).unwrap_or(u32::MAX);
        let whole = self.first.saturating_mul(doubled).min(self.longest);
        let share = u32::try_from(splitmix(&mut self.random) % 1001).unwrap_or(0);
        whole / 2 + (whole / 2).saturating_mul(share) / 1000
    }
}

/// Waits, unless the run should stop.
///
/// # Errors
/// `Cancelled` if the run should stop.
pub async fn pause(stop: &Stop, length: Duration) -> Result<()> {
    let mut rest = length;
    loop {
        if stop.is_set() {
            return Err(Error::new(ErrorKind::Cancelled, "stopped during a pause between requests"));
        }
        if rest.is_zero() {
            return Ok(());
        }
        let step = rest.min(TICK);
        tokio::time::sleep(step).await;
        rest -= step;
    }
}

/// The next number of the splitmix64 sequence (public domain, Sebastiano Vigna).
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unavailable() -> Error {
        Error::new(ErrorKind::Unavailable, "down")
    }

    fn pauses(seed: u64) -> Vec<Duration> {
        let options = Options { retries: 12, ..Options::default() };
        let mut backoff = Backoff::new(&options, seed, Stop::default());
        let mut all = Vec::new();
        while let Some(length) = backoff.next_pause(&unavailable()) {
            all.push(length);
            backoff.attempt += 1;
        }
        all
    }

    #[test]
    fn pauses_grow_to_the_longest_and_depend_on_the_seed_alone() {
        let all = pauses(7);
        assert_eq!(all.len(), 12);
        for (at, length) in all.iter().enumerate() {
            let whole = Duration::from_secs(1 << at).min(Duration::from_mins(5));
            assert!(*length >= whole / 2 && *length <= whole, "{at}: {length:?}");
        }
        assert_eq!(all, pauses(7));
        assert_ne!(all, pauses(8));
    }

    #[test]
    fn the_time_the_other_side_asks_for_is_kept_or_given_up() {
        let mut backoff = Backoff::new(&Options::default(), 0, Stop::default());
        let asked = |seconds| Error::new(ErrorKind::RateLimited { after: Duration::from_secs(seconds) }, "busy");
        assert_eq!(backoff.next_pause(&asked(20)), Some(Duration::from_secs(20)));
        assert_eq!(backoff.next_pause(&asked(301)), None);
        assert_eq!(backoff.next_pause(&Error::invalid_data("no")), None);
    }
}
