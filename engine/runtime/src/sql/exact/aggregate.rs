//! `sum` and `avg` that never wrap and never round on the way.

use super::{Fault, Words, decimal};
use crate::sql::types::{self, MAX_DIGITS};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Decimal256Array, Int64Array, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, Field, FieldRef, Int64Type, i256};
use datafusion::common::{Result, ScalarValue, internal_err, plan_err};
use datafusion::functions_aggregate::{average::avg_udaf, sum::sum_udaf};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature, Volatility,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Digits an average has after the point more than its values, as in PostgreSQL's and Arrow's division.
const AVERAGE_DIGITS: i8 = 4;

/// Digits of a running total: enough for any number of rows.
const TOTAL_DIGITS: u8 = 76;

/// `sum` or `avg` over exact numbers: totals have 256 bits, and only the result must fit its type.
///
/// | values | `sum` | `avg` |
/// |---|---|---|
/// | whole numbers | `long` | `decimal(38,4)` |
/// | `decimal(p,s)` | `decimal(38,s)` | `decimal(38,s+4)`, rounded half away from zero |
/// | `double` | `double`, inexact | `double`, inexact |
#[derive(Debug, PartialEq, Eq, Hash)]
pub(in crate::sql) struct Exact {
    kind: Kind,
    words: Option<Words>,
    aliases: Vec<String>,
    signature: Signature,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Sum,
    Average,
}

impl Exact {
    /// `sum`.
    pub(in crate::sql) fn sum() -> Self {
        Self::new(Kind::Sum, None)
    }

    /// `avg`, also called `mean`.
    pub(in crate::sql) fn average() -> Self {
        Self::new(Kind::Average, None)
    }

    fn new(kind: Kind, words: Option<Words>) -> Self {
        let aliases = if kind == Kind::Average { vec!["mean".to_owned()] } else { Vec::new() };
        Self { kind, words, aliases, signature: Signature::user_defined(Volatility::Immutable) }
    }

    /// Whether messages cannot say which sum it is yet.
    pub(super) fn is_nameless(&self) -> bool {
        self.words.is_none()
    }

    /// The same, called by its words in messages.
    pub(super) fn named(&self, words: Words) -> Self {
        Self::new(self.kind, Some(words))
    }

    /// What computes doubles.
    fn inexact(&self) -> Arc<AggregateUDF> {
        match self.kind {
            Kind::Sum => sum_udaf(),
            Kind::Average => avg_udaf(),
        }
    }

    fn finish(&self, args: &AccumulatorArgs<'_>) -> Finish {
        let from = args.expr_fields.first().map_or(0, |field| scale(field.data_type()));
        Finish { kind: self.kind, words: self.words.clone(), from, to: args.return_type().clone() }
    }
}

/// How a total becomes a result.
#[derive(Clone, Debug)]
struct Finish {
    kind: Kind,
    words: Option<Words>,
    from: i8,
    to: DataType,
}

fn scale(kind: &DataType) -> i8 {
    match kind {
        DataType::Decimal128(_, scale) => *scale,
        _ => 0,
    }
}

impl Finish {
    fn digits(&self, total: i256, rows: i64) -> Result<Option<i128>, Fault> {
        if rows == 0 {
            return Ok(None);
        }
        let more = u32::try_from(scale(&self.to).saturating_sub(self.from)).unwrap_or(0);
        let value = match self.kind {
            Kind::Sum => Some(total),
            Kind::Average => decimal::divide(total, i256::from_i128(rows.into()), more),
        };
        let precision = if let DataType::Decimal128(precision, _) = self.to { precision } else { MAX_DIGITS };
        let value = value.and_then(|value| decimal::narrow(value, precision));
        let value = value.filter(|value| self.to != DataType::Int64 || i64::try_from(*value).is_ok());
        value.map(Some).ok_or_else(|| {
            let (relation, text) = self.words.as_ref().map_or(("", "sum"), |words| (&*words.relation, &words.text));
            let relation = if relation.is_empty() { String::new() } else { format!("`{relation}`: ") };
            let total = decimal::show(total, self.from);
            Fault::new(format!("{relation}`{text}` adds up to {total}, which does not fit `{}`", types::name(&self.to)))
        })
    }

    fn array(&self, groups: impl Iterator<Item = (i256, i64)>) -> Result<ArrayRef> {
        let digits = groups.map(|(total, rows)| self.digits(total, rows));
        if self.to == DataType::Int64 {
            let narrow = |value: Option<i128>| value.and_then(|value| i64::try_from(value).ok());
            let values = digits.map(|value| value.map(narrow)).collect::<Result<Int64Array, _>>()?;
            return Ok(Arc::new(values));
        }
        let values = digits.collect::<Result<Decimal128Array, _>>()?;
        Ok(Arc::new(values.with_data_type(self.to.clone())))
    }

    fn scalar(&self, total: i256, rows: i64) -> Result<ScalarValue> {
        ScalarValue::try_from_array(&self.array(std::iter::once((total, rows)))?, 0)
    }

    fn state_type(&self) -> DataType {
        DataType::Decimal256(TOTAL_DIGITS, self.from)
    }
}

/// Calls `each` with the row and digits of every value that is not NULL.
pub(super) fn digits_of(values: &ArrayRef, mut each: impl FnMut(usize, i128)) -> Result<()> {
    match values.data_type() {
        DataType::Int64 => {
            let values = values.as_primitive::<Int64Type>();
            values.iter().enumerate().filter_map(|(row, value)| Some((row, value?))).for_each(|(row, value)| {
                each(row, value.into());
            });
        }
        DataType::Decimal128(..) => {
            let values = values.as_primitive::<Decimal128Type>();
            values.iter().enumerate().filter_map(|(row, value)| Some((row, value?))).for_each(|(row, value)| {
                each(row, value);
            });
        }
        other => return internal_err!("an exact sum of {other}"),
    }
    Ok(())
}

pub(super) fn only(values: &[ArrayRef]) -> Result<&ArrayRef> {
    let Some(first) = values.first() else { return internal_err!("an aggregate has an argument") };
    Ok(first)
}

fn totals_of(states: &[ArrayRef]) -> Result<(&Decimal256Array, &Int64Array)> {
    let [totals, rows] = states else { return internal_err!("an exact sum has two states") };
    Ok((totals.as_primitive::<Decimal256Type>(), rows.as_primitive::<Int64Type>()))
}

impl AggregateUDFImpl for Exact {
    fn name(&self) -> &'static str {
        match self.kind {
            Kind::Sum => "sum",
            Kind::Average => "avg",
        }
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [kind] = types else {
            return plan_err!("`{}` takes one argument, not {}", self.name(), types.len());
        };
        Ok(vec![match kind {
            DataType::UInt64 => DataType::Decimal128(20, 0),
            whole if whole.is_integer() => DataType::Int64,
            DataType::Null => DataType::Int64,
            DataType::Decimal32(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal128(precision, scale) => DataType::Decimal128(*precision, *scale),
            inexact if inexact.is_floating() => DataType::Float64,
            other => return plan_err!("`{}` takes numbers, not {}", self.name(), types::a(other)),
        }])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(match (self.kind, types) {
            (_, [DataType::Float64]) => DataType::Float64,
            (Kind::Sum, [DataType::Int64]) => DataType::Int64,
            (Kind::Average, [DataType::Int64]) => DataType::Decimal128(MAX_DIGITS, AVERAGE_DIGITS),
            (Kind::Sum, [DataType::Decimal128(_, scale)]) => DataType::Decimal128(MAX_DIGITS, *scale),
            (Kind::Average, [DataType::Decimal128(_, scale)]) => {
                DataType::Decimal128(MAX_DIGITS, scale.saturating_add(AVERAGE_DIGITS).min(38))
            }
            _ => return internal_err!("`{}` of {types:?}", self.name()),
        })
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if *args.return_type() == DataType::Float64 {
            return self.inexact().accumulator(args);
        }
        let finish = self.finish(&args);
        Ok(if args.is_distinct {
            Box::new(Distinct { finish, values: BTreeSet::new() })
        } else {
            Box::new(Running { finish, total: i256::ZERO, rows: 0 })
        })
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if *args.return_type() == DataType::Float64 {
            return self.inexact().create_sliding_accumulator(args);
        }
        self.accumulator(args)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        if *args.return_type() == DataType::Float64 {
            return self.inexact().state_fields(args);
        }
        let from = args.input_fields.first().map_or(0, |field| scale(field.data_type()));
        let total = DataType::Decimal256(TOTAL_DIGITS, from);
        if args.is_distinct {
            let items = Field::new_list_field(total, true);
            return Ok(vec![Arc::new(Field::new_list(format_state_name(args.name, "values"), items, true))]);
        }
        Ok(vec![
            Arc::new(Field::new(format_state_name(args.name, "total"), total, true)),
            Arc::new(Field::new(format_state_name(args.name, "rows"), DataType::Int64, true)),
        ])
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        if *args.return_type() == DataType::Float64 {
            return self.inexact().groups_accumulator_supported(args);
        }
        !args.is_distinct
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        if *args.return_type() == DataType::Float64 {
            return self.inexact().create_groups_accumulator(args);
        }
        Ok(Box::new(Groups { finish: self.finish(&args), totals: Vec::new(), rows: Vec::new() }))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// The total of one group or window frame.
#[derive(Debug)]
struct Running {
    finish: Finish,
    total: i256,
    rows: i64,
}

impl Accumulator for Running {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        digits_of(only(values)?, |_, value| {
            self.total = self.total.wrapping_add(i256::from_i128(value));
            self.rows += 1;
        })
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        digits_of(only(values)?, |_, value| {
            self.total = self.total.wrapping_sub(i256::from_i128(value));
            self.rows -= 1;
        })
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.finish.scalar(self.total, self.rows)
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![
            ScalarValue::Decimal256(Some(self.total), TOTAL_DIGITS, self.finish.from),
            ScalarValue::Int64(Some(self.rows)),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let (totals, rows) = totals_of(states)?;
        for (total, rows) in totals.iter().zip(rows).filter_map(|(total, rows)| total.zip(rows)) {
            self.total = self.total.wrapping_add(total);
            self.rows += rows;
        }
        Ok(())
    }
}

/// The distinct values of one group.
#[derive(Debug)]
struct Distinct {
    finish: Finish,
    values: BTreeSet<i256>,
}

impl Accumulator for Distinct {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        digits_of(only(values)?, |_, value| {
            self.values.insert(i256::from_i128(value));
        })
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let total = self.values.iter().fold(i256::ZERO, |total, value| total.wrapping_add(*value));
        self.finish.scalar(total, i64::try_from(self.values.len()).unwrap_or(i64::MAX))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.len() * 2 * size_of::<i256>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values = Decimal256Array::from_iter_values(self.values.iter().copied());
        let values = values.with_data_type(self.finish.state_type());
        let item = Arc::new(Field::new_list_field(self.finish.state_type(), true));
        let list = ListArray::try_new(item, OffsetBuffer::from_lengths([values.len()]), Arc::new(values), None)?;
        Ok(vec![ScalarValue::List(Arc::new(list))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for list in only(states)?.as_list::<i32>().iter().flatten() {
            self.values.extend(list.as_primitive::<Decimal256Type>().iter().flatten());
        }
        Ok(())
    }
}

/// The totals of many groups.
#[derive(Debug)]
struct Groups {
    finish: Finish,
    totals: Vec<i256>,
    rows: Vec<i64>,
}

impl Groups {
    fn grow(&mut self, groups: usize) {
        self.totals.resize(groups, i256::ZERO);
        self.rows.resize(groups, 0);
    }

    fn take(&mut self, emit: EmitTo) -> (Vec<i256>, Vec<i64>) {
        (emit.take_needed(&mut self.totals), emit.take_needed(&mut self.rows))
    }

    fn states(&self, totals: Vec<i256>, rows: Vec<i64>) -> Vec<ArrayRef> {
        let totals = Decimal256Array::from(totals).with_data_type(self.finish.state_type());
        vec![Arc::new(totals), Arc::new(Int64Array::from(rows))]
    }
}

fn passes(filter: Option<&BooleanArray>, row: usize) -> bool {
    filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total_groups: usize,
    ) -> Result<()> {
        self.grow(total_groups);
        digits_of(only(values)?, |row, value| {
            if passes(filter, row)
                && let Some(group) = groups.get(row).copied()
                && let (Some(total), Some(rows)) = (self.totals.get_mut(group), self.rows.get_mut(group))
            {
                *total = total.wrapping_add(i256::from_i128(value));
                *rows += 1;
            }
        })
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let (totals, rows) = self.take(emit);
        self.finish.array(totals.into_iter().zip(rows))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        let (totals, rows) = self.take(emit);
        Ok(self.states(totals, rows))
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total_groups: usize) -> Result<()> {
        self.grow(total_groups);
        let (totals, counts) = totals_of(states)?;
        for ((total, count), group) in totals.iter().zip(counts).zip(groups.iter().copied()) {
            if let (Some(total), Some(count)) = (total, count)
                && let (Some(sum), Some(rows)) = (self.totals.get_mut(group), self.rows.get_mut(group))
            {
                *sum = sum.wrapping_add(total);
                *rows += count;
            }
        }
        Ok(())
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let values = only(values)?;
        let (mut totals, mut rows) = (vec![i256::ZERO; values.len()], vec![0; values.len()]);
        digits_of(values, |row, value| {
            if passes(filter, row)
                && let (Some(total), Some(count)) = (totals.get_mut(row), rows.get_mut(row))
            {
                *total = i256::from_i128(value);
                *count = 1;
            }
        })?;
        Ok(self.states(totals, rows))
    }

    fn size(&self) -> usize {
        self.totals.capacity() * size_of::<i256>() + self.rows.capacity() * size_of::<i64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn finish(kind: Kind, from: i8, to: DataType) -> Finish {
        Finish { kind, words: None, from, to }
    }

    fn sum(values: &[i64], parts: usize) -> Result<ScalarValue, String> {
        let running = || Running { finish: finish(Kind::Sum, 0, DataType::Int64), total: i256::ZERO, rows: 0 };
        let mut whole = running();
        for part in values.chunks(values.len().div_ceil(parts).max(1)) {
            let mut partial = running();
            let part: ArrayRef = Arc::new(Int64Array::from(part.to_vec()));
            partial.update_batch(&[part]).unwrap();
            let states = partial.state().unwrap();
            let states: Vec<ArrayRef> = states.iter().map(|state| state.to_array().unwrap()).collect();
            whole.merge_batch(&states).unwrap();
        }
        whole.evaluate().map_err(|error| Fault::of(&error).0)
    }

    proptest! {
        #[test]
        fn sums_agree_with_wider_numbers(values in prop::collection::vec(any::<i64>(), 0..20), parts in 1usize..4) {
            let exact: i128 = values.iter().map(|value| i128::from(*value)).sum();
            match i64::try_from(exact) {
                Ok(_) if values.is_empty() => prop_assert_eq!(sum(&values, parts), Ok(ScalarValue::Int64(None))),
                Ok(exact) => prop_assert_eq!(sum(&values, parts), Ok(ScalarValue::Int64(Some(exact)))),
                Err(_) => prop_assert!(sum(&values, parts).unwrap_err().contains(&exact.to_string())),
            }
        }

        #[test]
        fn groups_agree_with_one_running_total(
            rows in prop::collection::vec((0usize..4, prop::option::of(any::<i64>()), any::<bool>()), 1..40),
        ) {
            let to = DataType::Decimal128(38, 0);
            let mut groups = Groups { finish: finish(Kind::Sum, 0, to.clone()), totals: Vec::new(), rows: Vec::new() };
            let values: ArrayRef = Arc::new(Int64Array::from(rows.iter().map(|row| row.1).collect::<Vec<_>>()));
            let indices: Vec<usize> = rows.iter().map(|row| row.0).collect();
            let filter = BooleanArray::from(rows.iter().map(|row| row.2).collect::<Vec<_>>());
            groups.update_batch(&[Arc::clone(&values)], &indices, Some(&filter), 4).unwrap();
            let states = groups.convert_to_state(&[values], Some(&filter)).unwrap();
            let mut merged = Groups { finish: finish(Kind::Sum, 0, to), totals: Vec::new(), rows: Vec::new() };
            merged.merge_batch(&states, &indices, 4).unwrap();
            let direct = groups.evaluate(EmitTo::All).unwrap();
            prop_assert_eq!(&direct, &merged.evaluate(EmitTo::All).unwrap());
            for group in 0..4 {
                let kept = rows.iter().filter(|row| row.0 == group && row.2).filter_map(|row| row.1);
                let kept: Vec<i128> = kept.map(i128::from).collect();
                let expected = (!kept.is_empty()).then(|| kept.iter().sum());
                let found = ScalarValue::try_from_array(&direct, group).unwrap();
                prop_assert_eq!(found, ScalarValue::Decimal128(expected, 38, 0));
            }
        }
    }

    #[test]
    fn a_sum_may_leave_its_type_on_the_way() {
        assert_eq!(sum(&[i64::MAX, i64::MAX, -i64::MAX], 2), Ok(ScalarValue::Int64(Some(i64::MAX))));
        let error = sum(&[i64::MAX, 1], 1).unwrap_err();
        assert_eq!(error, "`sum` adds up to 9223372036854775808, which does not fit `long`");
    }

    #[test]
    fn averages_are_rounded_once() {
        let average = finish(Kind::Average, 2, DataType::Decimal128(38, 6));
        assert_eq!(average.digits(i256::from_i128(1000), 3), Ok(Some(3_333_333)));
        assert_eq!(average.digits(i256::from_i128(-2000), 3), Ok(Some(-6_666_667)));
        assert_eq!(average.digits(i256::ZERO, 0), Ok(None));
    }

    #[test]
    fn windows_give_back_what_leaves_them() {
        let mut frame = Running { finish: finish(Kind::Sum, 0, DataType::Int64), total: i256::ZERO, rows: 0 };
        let values = |values: &[i64]| -> [ArrayRef; 1] { [Arc::new(Int64Array::from(values.to_vec()))] };
        frame.update_batch(&values(&[i64::MAX, 5])).unwrap();
        frame.retract_batch(&values(&[i64::MAX])).unwrap();
        assert_eq!(frame.evaluate().unwrap(), ScalarValue::Int64(Some(5)));
        frame.retract_batch(&values(&[5])).unwrap();
        assert_eq!(frame.evaluate().unwrap(), ScalarValue::Int64(None));
    }

    #[test]
    fn distinct_values_count_once() {
        let mut distinct = Distinct { finish: finish(Kind::Sum, 0, DataType::Int64), values: BTreeSet::new() };
        let values: ArrayRef = Arc::new(Int64Array::from(vec![Some(5), Some(5), None, Some(7)]));
        distinct.update_batch(&[values]).unwrap();
        let state = distinct.state().unwrap();
        distinct.merge_batch(&[state[0].to_array().unwrap()]).unwrap();
        assert_eq!(distinct.evaluate().unwrap(), ScalarValue::Int64(Some(12)));
    }
}
