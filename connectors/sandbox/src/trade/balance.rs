//! `Dimensions` of a balance: rows added up by some of the dimensions.

use super::cell::Edm;
use super::refusal::{Answered, Refusal};
use super::schema::{Entity, Field};
use super::table::Table;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The balance by these dimensions alone, from the rows that are left after the condition.
///
/// # Errors
/// A dimension the register does not have; a sum of more digits than 1C has.
pub(crate) fn by(
    entity: &Entity,
    table: &Table,
    rows: &[u32],
    dimensions: &str,
) -> Answered<(Arc<Entity>, Arc<Table>)> {
    let mut kept = Vec::new();
    for name in dimensions.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let place = entity.position(name).or_else(|| entity.position(&format!("{name}_Key")));
        kept.push(place.filter(|at| !is_resource(entity, *at)).ok_or_else(|| Refusal::unknown_path(name))?);
        kept.extend(entity.position(&format!("{name}_Type")));
    }
    let resources: Vec<usize> = (0..entity.columns.len()).filter(|at| is_resource(entity, *at)).collect();
    let mut sums: BTreeMap<Vec<&str>, Vec<Sum>> = BTreeMap::new();
    for row in rows {
        let key = kept.iter().map(|at| table.cell(*row, *at)).collect();
        let own = sums.entry(key).or_insert_with(|| vec![Sum::default(); resources.len()]);
        for (sum, at) in own.iter_mut().zip(&resources) {
            *sum = sum.add(table.cell(*row, *at)).ok_or_else(|| Refusal::platform("Переполнение при сложении"))?;
        }
    }
    let columns: Vec<Field> = kept.iter().chain(&resources).filter_map(|at| entity.columns.get(*at).cloned()).collect();
    let grouped = Entity { name: entity.name.clone(), columns, key: (0..kept.len()).collect(), file: None };
    let cells = sums.into_iter().flat_map(|(key, sums)| {
        key.into_iter().map(ToOwned::to_owned).chain(sums.into_iter().map(Sum::text)).collect::<Vec<String>>()
    });
    let table = Table::of_cells(grouped.columns.len(), cells);
    Ok((Arc::new(grouped), Arc::new(table)))
}

fn is_resource(entity: &Entity, at: usize) -> bool {
    entity
        .columns
        .get(at)
        .is_some_and(|field| field.name.ends_with("Balance") && matches!(field.edm, Edm::Double | Edm::Int64))
}

/// A sum with the digits of its largest scale.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    units: i128,
    scale: u32,
}

impl Sum {
    fn add(self, cell: &str) -> Option<Self> {
        let (whole, fraction) = cell.split_once('.').unwrap_or((cell, ""));
        let scale = u32::try_from(fraction.len()).ok()?;
        let units: i128 = format!("{whole}{fraction}").parse().ok()?;
        let common = self.scale.max(scale);
        let widen = |units: i128, from: u32| units.checked_mul(10_i128.checked_pow(common - from)?);
        let units = widen(self.units, self.scale)?.checked_add(widen(units, scale)?)?;
        Some(Self { units, scale: common })
    }

    fn text(self) -> String {
        let scale = self.scale as usize;
        let digits = format!("{:0>width$}", self.units.unsigned_abs(), width = scale + 1);
        let sign = if self.units < 0 { "-" } else { "" };
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
    }
}

#[cfg(test)]
mod tests {
    use super::Sum;

    #[test]
    fn sums_are_exact() {
        let sum = ["0.1", "0.20", "-0.300", "12"].iter().try_fold(Sum::default(), |sum, cell| sum.add(cell)).unwrap();
        assert_eq!(sum.text(), "12.000");
        assert_eq!(Sum::default().add("-0.05").unwrap().text(), "-0.05");
    }
}
