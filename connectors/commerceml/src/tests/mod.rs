//! The protocol against a small shop of our own that can misbehave in every way.

mod laws;
mod load;
mod protocol;
mod shop;
mod trouble;
