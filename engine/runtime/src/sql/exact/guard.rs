//! A call that can fail, with what is needed to say where it failed.

use super::cast::show;
use super::{Fault, Words};
use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;

/// A function whose failures name the expression and the row.
///
/// Arguments past those of the function are the key of the row; they are looked at only after a failure.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(in crate::sql) struct Guarded {
    inner: Arc<ScalarUDF>,
    words: Words,
    /// Names of the function's own arguments.
    arguments: Vec<String>,
    /// Names of the key columns that follow.
    key: Vec<String>,
    signature: Signature,
}

impl Guarded {
    /// Guards a function; `arguments` and `key` are names for the message.
    pub(in crate::sql) fn new(inner: Arc<ScalarUDF>, words: Words, arguments: Vec<String>, key: Vec<String>) -> Self {
        let signature = Signature::user_defined(Volatility::Immutable);
        Self { inner, words, arguments, key, signature }
    }

    /// The words of the expression.
    pub(super) fn text(&self) -> &str {
        &self.words.text
    }

    fn call(&self, args: &ScalarFunctionArgs, values: Vec<ColumnarValue>, rows: usize) -> Result<ColumnarValue> {
        self.inner.invoke_with_args(ScalarFunctionArgs {
            args: values,
            arg_fields: args.arg_fields.iter().take(self.arguments.len()).cloned().collect(),
            number_rows: rows,
            return_field: Arc::clone(&args.return_field),
            config_options: Arc::clone(&args.config_options),
        })
    }

    /// The message for a failure: narrows the rows down to the first one that fails by itself.
    fn explain(&self, args: &ScalarFunctionArgs, error: &DataFusionError) -> Fault {
        let Words { relation, text } = &self.words;
        let at = |reason: &Fault, row: &str| {
            let relation = if relation.is_empty() { String::new() } else { format!("`{relation}`: ") };
            Fault::new(format!("{relation}`{text}` {reason}{row}"))
        };
        let constant = args.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let Ok(arrays) = ColumnarValue::values_to_arrays(&args.args) else { return at(&Fault::of(error), "") };
        if constant || args.number_rows == 0 {
            return at(&Fault::of(error), "");
        }
        // Constants stay constants: some functions take nothing else in their place.
        let fails = |from: usize, rows: usize| {
            let values = args.args.iter().take(self.arguments.len()).map(|value| match value {
                ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(from, rows)),
                ColumnarValue::Scalar(value) => ColumnarValue::Scalar(value.clone()),
            });
            self.call(args, values.collect(), rows).err()
        };
        let (mut from, mut rows) = (0, args.number_rows);
        while rows > 1 {
            let half = rows / 2;
            if fails(from, half).is_some() {
                rows = half;
            } else {
                (from, rows) = (from + half, rows - half);
            }
        }
        match fails(from, 1) {
            Some(error) => at(&Fault::of(&error), &self.row(&args.args, &arrays, from)),
            None => at(&Fault::of(error), ""),
        }
    }

    /// `in the row Ref_Key=…`, or the arguments where no key is at hand.
    fn row(&self, values: &[ColumnarValue], arrays: &[ArrayRef], row: usize) -> String {
        let own = self.arguments.len();
        let pair = |name: &String, array: &ArrayRef, between| format!("{name}{between}{}", show(array, row));
        let key = self.key.iter().zip(arrays.iter().skip(own)).map(|(name, array)| pair(name, array, "="));
        let key: Vec<String> = key.collect();
        if !key.is_empty() {
            return format!(" in the row {}", key.join(", "));
        }
        let varying = |value: &ColumnarValue| matches!(value, ColumnarValue::Array(_));
        let arguments = self.arguments.iter().zip(arrays).zip(values).filter(|(_, value)| varying(value));
        let arguments: Vec<String> = arguments.map(|((name, array), _)| pair(name, array, " = ")).collect();
        format!(" where {}", arguments.join(", "))
    }
}

impl ScalarUDFImpl for Guarded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types.get(..self.arguments.len()).unwrap_or(types))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let own = self.arguments.len();
        self.inner.return_field_from_args(ReturnFieldArgs {
            arg_fields: args.arg_fields.get(..own).unwrap_or(args.arg_fields),
            scalar_arguments: args.scalar_arguments.get(..own).unwrap_or(args.scalar_arguments),
        })
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(types.to_vec())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let values = args.args.iter().take(self.arguments.len()).cloned().collect();
        let result = self.call(&args, values, args.number_rows);
        result.map_err(|error| self.explain(&args, &error).into())
    }
}
