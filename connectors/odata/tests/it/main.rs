//! The connector against a base of 1C that refuses what 1C refuses.

#[cfg(test)]
mod one_c;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod settings;
