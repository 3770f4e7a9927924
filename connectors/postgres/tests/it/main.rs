//! The connector against a live PostgreSQL: `OBMEN_TEST_POSTGRES`, or the one of this machine.

#[cfg(test)]
mod base;
#[cfg(test)]
mod conditions;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod lost;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod values;
#[cfg(test)]
mod writing;
