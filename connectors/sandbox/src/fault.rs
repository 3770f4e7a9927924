//! Misbehaviour on request: what, at which requests, how often.

use serde::{Deserialize, Serialize};
use std::sync::{Mutex, PoisonError};

/// One misbehaviour: what is done, at which requests, how often.
///
/// Of the requests it concerns (`on`), it happens from the `nth` one on, `times` times. `times` is 1
/// when `nth` is given and without limit otherwise. With `probability` each of those requests is
/// tossed for, always the same way for the same `seed`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[serde(bound(deserialize = "K: Deserialize<'de>"))]
pub struct Fault<K> {
    /// What is done.
    #[serde(rename = "do")]
    pub kind: K,
    /// The requests it concerns: a mode of the shop (`import`), an entity of the 1C. All, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    /// The first request it happens at, counted from 1 since it was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nth: Option<u32>,
    /// How often it happens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// The share of requests it happens at, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// Where the tossing starts. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// How long it takes, in milliseconds, for `slow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// What it says, for `failure` and `php_notice`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// A misbehaviour and how far it has come.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FaultState<K> {
    /// The misbehaviour.
    #[serde(flatten)]
    pub fault: Fault<K>,
    /// Requests it concerned since it was set.
    pub seen: u32,
    /// Requests it happened at.
    pub happened: u32,
}

/// The misbehaviours set at the moment.
#[derive(Debug)]
pub(crate) struct Faults<K> {
    armed: Mutex<Vec<Armed<K>>>,
}

#[derive(Debug)]
struct Armed<K> {
    state: FaultState<K>,
    dice: u64,
}

impl<K> Fault<K> {
    /// At every request.
    pub fn new(kind: K) -> Self {
        Self { kind, on: None, nth: None, times: None, probability: None, seed: None, delay_ms: None, text: None }
    }

    /// Only at requests of this mode or entity.
    #[must_use]
    pub fn on(mut self, what: impl Into<String>) -> Self {
        self.on = Some(what.into());
        self
    }

    /// From this request on, counted from 1.
    #[must_use]
    pub fn nth(mut self, nth: u32) -> Self {
        self.nth = Some(nth);
        self
    }

    /// This often.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// At this share of requests, tossed from `seed`.
    #[must_use]
    pub fn probability(mut self, probability: f64, seed: u64) -> Self {
        self.probability = Some(probability);
        self.seed = Some(seed);
        self
    }

    /// Taking this long, in milliseconds.
    #[must_use]
    pub fn delay_ms(mut self, delay: u64) -> Self {
        self.delay_ms = Some(delay);
        self
    }

    /// Saying this.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// What is wrong with the numbers, if anything.
    pub(crate) fn mistake(&self) -> Option<&'static str> {
        if self.nth == Some(0) {
            return Some("`nth` counts from 1");
        }
        match self.probability {
            Some(share) if !(0.0..=1.0).contains(&share) => Some("`probability` is a share between 0 and 1"),
            _ => None,
        }
    }

    fn limit(&self) -> u32 {
        self.times.unwrap_or(if self.nth.is_some() { 1 } else { u32::MAX })
    }
}

impl<K: Copy + PartialEq> Faults<K> {
    /// These.
    pub(crate) fn new(faults: Vec<Fault<K>>) -> Self {
        Self { armed: Mutex::new(arm(faults)) }
    }

    /// Replaces all; counters start anew.
    pub(crate) fn set(&self, faults: Vec<Fault<K>>) {
        *self.lock() = arm(faults);
    }

    /// Adds one.
    pub(crate) fn add(&self, fault: Fault<K>) {
        self.lock().extend(arm(vec![fault]));
    }

    /// All, with their counters.
    pub(crate) fn states(&self) -> Vec<FaultState<K>> {
        self.lock().iter().map(|armed| armed.state.clone()).collect()
    }

    /// Whether a misbehaviour of this kind happens at this request; counts the request.
    pub(crate) fn strikes(&self, kind: K, on: &str) -> Option<Fault<K>> {
        let mut struck = None;
        for armed in self.lock().iter_mut().filter(|armed| armed.concerns(kind, on)) {
            if armed.strikes() {
                struck = Some(armed.state.fault.clone());
            }
        }
        struck
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Armed<K>>> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Copy + PartialEq> Armed<K> {
    fn concerns(&self, kind: K, on: &str) -> bool {
        self.state.fault.kind == kind && self.state.fault.on.as_deref().is_none_or(|wanted| wanted == on)
    }

    fn strikes(&mut self) -> bool {
        let state = &mut self.state;
        state.seen = state.seen.saturating_add(1);
        if state.seen < state.fault.nth.unwrap_or(1) || state.happened >= state.fault.limit() {
            return false;
        }
        if state.fault.probability.is_some_and(|share| toss(&mut self.dice) >= share) {
            return false;
        }
        state.happened = state.happened.saturating_add(1);
        true
    }
}

fn arm<K>(faults: Vec<Fault<K>>) -> Vec<Armed<K>> {
    let armed = |fault: Fault<K>| {
        let dice = fault.seed.unwrap_or(0);
        Armed { state: FaultState { fault, seen: 0, happened: 0 }, dice }
    };
    faults.into_iter().map(armed).collect()
}

/// The next number of `SplitMix64`, from 0 inclusive to 1 exclusive.
fn toss(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let top = u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap_or(u32::MAX);
    f64::from(top) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(fault: Fault<u8>, requests: usize) -> Vec<bool> {
        let faults = Faults::new(vec![fault]);
        (0..requests).map(|_| faults.strikes(1, "import").is_some()).collect()
    }

    #[test]
    fn the_nth_request_is_struck_once() {
        assert_eq!(pattern(Fault::new(1).on("import").nth(2), 4), [false, true, false, false]);
        assert_eq!(pattern(Fault::new(1).nth(2).times(2), 4), [false, true, true, false]);
    }

    #[test]
    fn other_modes_and_kinds_are_spared() {
        assert_eq!(pattern(Fault::new(1).on("file"), 2), [false, false]);
        assert_eq!(pattern(Fault::new(2), 2), [false, false]);
    }

    #[test]
    fn tossing_repeats_for_the_same_seed() {
        let tossed = pattern(Fault::new(1).probability(0.3, 7), 1000);
        assert_eq!(tossed, pattern(Fault::new(1).probability(0.3, 7), 1000));
        let struck = tossed.iter().filter(|struck| **struck).count();
        assert!((250..350).contains(&struck), "{struck}");
    }
}
