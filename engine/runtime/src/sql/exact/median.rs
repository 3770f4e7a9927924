//! `median` that is exact in the middle.
//!
//! DataFusion's own turns whole numbers into doubles, and cuts the half that the mean of the two middle decimals may
//! have. Here numbers get one more digit after the point first, and its own does the rest.

use crate::sql::types::{self, MAX_DIGITS};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, plan_err};
use datafusion::functions_aggregate::median::median_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, Signature, Volatility,
};
use std::sync::Arc;

/// The middle value, or the mean of the two middle ones: `decimal(20,1)` of whole numbers, `decimal(p+1,s+1)` of decimals.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(in crate::sql) struct Median {
    inner: Arc<AggregateUDF>,
    signature: Signature,
}

impl Median {
    /// `median`.
    pub(in crate::sql) fn new() -> Self {
        Self { inner: median_udaf(), signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for Median {
    fn name(&self) -> &'static str {
        "median"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [kind] = types else { return plan_err!("`median` takes one argument, not {}", types.len()) };
        Ok(vec![match kind {
            DataType::Null => DataType::Float64,
            whole if whole.is_integer() => DataType::Decimal128(21, 1),
            DataType::Decimal128(precision, scale) => {
                DataType::Decimal128(precision.saturating_add(1).min(MAX_DIGITS), scale.saturating_add(1).min(38))
            }
            inexact if inexact.is_floating() => DataType::Float64,
            other => return plan_err!("`median` takes numbers, not {}", types::a(other)),
        }])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        self.inner.accumulator(args)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        self.inner.create_groups_accumulator(args)
    }
}
