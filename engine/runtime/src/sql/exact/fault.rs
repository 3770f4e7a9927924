//! Why a value cannot be computed.

use arrow::error::ArrowError;
use datafusion::common::DataFusionError;
use std::fmt;

/// Why a value cannot be computed, as a phrase that follows the expression's words: ``does not fit `long` ``.
/// Also a whole sentence, once the expression and the row are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sql) struct Fault(pub(in crate::sql) String);

impl Fault {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The phrase for a failure inside an error of DataFusion or Arrow.
    pub(super) fn of(error: &DataFusionError) -> Self {
        if let Some(fault) = find::<Self>(error) {
            return fault.clone();
        }
        let text = crate::sql::mistakes::clean(&error.strip_backtrace());
        Self(match arrow_error(error) {
            Some(ArrowError::DivideByZero) => "divides by zero".to_owned(),
            Some(ArrowError::ArithmeticOverflow(_)) => "overflows".to_owned(),
            _ if text.contains("overflow") => "overflows".to_owned(),
            _ => format!("cannot be computed: {text}"),
        })
    }
}

/// The error of type `T` inside an error of DataFusion, however it is wrapped.
pub(in crate::sql) fn find<T: std::error::Error + 'static>(error: &DataFusionError) -> Option<&T> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        // An external error passes on its cause, not itself.
        if let Some(DataFusionError::External(inner)) = error.downcast_ref::<DataFusionError>()
            && let Some(found) = inner.downcast_ref::<T>()
        {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

fn arrow_error(error: &DataFusionError) -> Option<&ArrowError> {
    match error {
        DataFusionError::ArrowError(error, _) => Some(error),
        DataFusionError::Context(_, inner) => arrow_error(inner),
        _ => None,
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fault {}

impl From<Fault> for DataFusionError {
    fn from(fault: Fault) -> Self {
        Self::External(Box::new(fault))
    }
}
