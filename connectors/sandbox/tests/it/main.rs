//! Both systems over real HTTP.

#[cfg(test)]
mod catalogue;
#[cfg(test)]
mod help;
#[cfg(test)]
mod paging;
#[cfg(test)]
mod shop_faults;
#[cfg(test)]
mod shop_protocol;
#[cfg(test)]
mod trade_faults;
#[cfg(test)]
mod trade_refusals;
