//! Types of PostgreSQL, and which declared types hold all their values.

use crate::copy::Wire;
use obmen_spec::ColumnType;
use tokio_postgres::types::{Kind as TypeKind, Type};

/// The scale given to a `numeric` without precision and scale where nothing is declared: a value with more digits makes
/// its row bad.
const UNDECLARED_SCALE: u8 = 10;

/// A type of PostgreSQL, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    /// Digits in all and after the point, if limited.
    Numeric(Option<(i32, i32)>),
    /// `text`, `varchar`, and the most letters it takes.
    Text(Option<i32>),
    /// `char(n)`.
    Char(Option<i32>),
    Uuid,
    Json,
    Jsonb,
    Date,
    Time,
    Timestamp,
    Timestamptz,
    Bytea,
    Money,
    Enum,
    /// Everything else: read and written as text.
    Other,
}

/// How a column is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// What it is cast to in the query, if to anything.
    pub(crate) cast: Option<&'static str>,
    /// How its values come.
    pub(crate) wire: Wire,
    /// What they become.
    pub(crate) column: ColumnType,
}

impl Kind {
    /// The kind of a type with its modifier, as a row description names them (domains come as what they are made of).
    pub(crate) fn of(kind: &Type, modifier: i32) -> Self {
        let length = (modifier > 4).then(|| modifier - 4);
        match *kind {
            Type::BOOL => Self::Bool,
            Type::INT2 => Self::Int2,
            Type::INT4 => Self::Int4,
            Type::INT8 => Self::Int8,
            Type::OID => Self::Oid,
            Type::FLOAT4 => Self::Float4,
            Type::FLOAT8 => Self::Float8,
            Type::NUMERIC => Self::Numeric(numeric_limits(modifier)),
            Type::TEXT => Self::Text(None),
            Type::VARCHAR => Self::Text(length),
            Type::BPCHAR => Self::Char(length),
            Type::UUID => Self::Uuid,
            Type::JSON => Self::Json,
            Type::JSONB => Self::Jsonb,
            Type::DATE => Self::Date,
            Type::TIME => Self::Time,
            Type::TIMESTAMP => Self::Timestamp,
            Type::TIMESTAMPTZ => Self::Timestamptz,
            Type::BYTEA => Self::Bytea,
            Type::MONEY => Self::Money,
            _ => match kind.kind() {
                TypeKind::Enum(_) => Self::Enum,
                TypeKind::Domain(base) => Self::of(base, modifier),
                _ => Self::Other,
            },
        }
    }

    /// The declared type that holds all values, for sources without `columns`.
    ///
    /// # Errors
    /// What to do about a type that has none, as a phrase.
    pub(crate) fn natural(self) -> Result<ColumnType, &'static str> {
        Ok(match self {
            Self::Bool => ColumnType::Bool,
            Self::Int2 | Self::Int4 => ColumnType::Int,
            Self::Int8 | Self::Oid => ColumnType::Long,
            Self::Float4 | Self::Float8 => ColumnType::Double,
            Self::Numeric(None) => ColumnType::Decimal { precision: 38, scale: UNDECLARED_SCALE },
            Self::Numeric(Some((precision, scale))) => limited(precision, scale)?,
            Self::Text(_) | Self::Char(_) | Self::Enum | Self::Other => ColumnType::String,
            Self::Uuid => ColumnType::Uuid,
            Self::Json | Self::Jsonb => ColumnType::Json,
            Self::Date => ColumnType::Date,
            Self::Time => ColumnType::Time,
            Self::Timestamp | Self::Timestamptz => ColumnType::Datetime,
            Self::Bytea => ColumnType::Binary,
            Self::Money => return Err(MONEY),
        })
    }

    /// How a column of this type is read as a declared one; `None` where something could be lost. `lenient`: whatever
    /// fits may come, and what does not makes its row bad (used to look up what was written by ourselves).
    pub(crate) fn reading(self, column: ColumnType, lenient: bool) -> Option<Reading> {
        use ColumnType as C;
        let plain = |wire| Some((None, wire));
        let whole = |digits: i32, most: i32| lenient || digits <= most;
        let room = |column| match column {
            C::Decimal { precision, scale } => i32::from(precision) - i32::from(scale),
            _ => 0,
        };
        let found = match (self, column) {
            (Self::Bool, C::Bool) => plain(Wire::Bool),
            (Self::Int2, C::Int | C::Long) => plain(Wire::Int2),
            (Self::Int4, C::Int | C::Long) => plain(Wire::Int4),
            (Self::Int8, C::Long) => plain(Wire::Int8),
            (Self::Int8, C::Int) if lenient => plain(Wire::Int8),
            (Self::Oid, C::Long) => Some((Some("int8"), Wire::Int8)),
            (Self::Int2, C::Decimal { .. }) if whole(5, room(column)) => Some((Some("numeric"), Wire::Numeric)),
            (Self::Int4, C::Decimal { .. }) if whole(10, room(column)) => Some((Some("numeric"), Wire::Numeric)),
            (Self::Int8, C::Decimal { .. }) if whole(19, room(column)) => Some((Some("numeric"), Wire::Numeric)),
            (Self::Float4, C::Double) => plain(Wire::Float4),
            (Self::Float8, C::Double) => plain(Wire::Float8),
            (Self::Numeric(limits), C::Decimal { precision, scale }) => {
                (lenient || holds(limits, precision, scale)).then_some((None, Wire::Numeric))
            }
            (Self::Numeric(limits), C::Int | C::Long) => {
                let most = if column == C::Int { 9 } else { 18 };
                let fits = limits.is_some_and(|(precision, scale)| scale <= 0 && whole(precision - scale, most));
                (lenient || fits).then_some((None, Wire::Numeric))
            }
            (Self::Text(_) | Self::Enum | Self::Json, C::String) | (Self::Json, C::Json) => plain(Wire::Text),
            (Self::Char(_), C::String) => plain(Wire::PaddedText),
            (Self::Jsonb, C::Json) => plain(Wire::Jsonb),
            (Self::Uuid, C::Uuid | C::String) => plain(Wire::Uuid),
            (Self::Date, C::Date) => plain(Wire::Date),
            (Self::Date, C::Datetime) => Some((Some("timestamp"), Wire::Timestamp)),
            (Self::Time, C::Time) => plain(Wire::Time),
            (Self::Timestamp | Self::Timestamptz, C::Datetime) => plain(Wire::Timestamp),
            (Self::Bytea, C::Binary) => plain(Wire::Bytea),
            (Self::Text(_), C::Uuid | C::Json) if lenient => plain(Wire::Text),
            (Self::Char(_), C::Uuid) if lenient => plain(Wire::PaddedText),
            (Self::Bytea | Self::Money, _) => None,
            (_, C::String) => Some((Some("text"), Wire::Text)),
            _ => None,
        };
        found.map(|(cast, wire)| Reading { cast, wire, column })
    }

    /// What to declare instead, for messages.
    pub(crate) fn advice(self) -> String {
        match self {
            Self::Money => MONEY.to_owned(),
            Self::Numeric(None) => "declare `decimal(p,s)`".to_owned(),
            other => match other.natural() {
                Ok(column) => format!("declare `{column}`"),
                Err(advice) => advice.to_owned(),
            },
        }
    }
}

/// What to do about `money`.
const MONEY: &str = "`money` depends on the server's locale: read it by a `query` with `amount::numeric`";

/// Digits in all and after the point of a `numeric`; the second may be negative.
fn numeric_limits(modifier: i32) -> Option<(i32, i32)> {
    let packed = modifier.checked_sub(4).filter(|packed| *packed >= 0)?;
    let scale = packed & 0x7ff;
    Some(((packed >> 16) & 0xffff, (scale ^ 0x400) - 0x400))
}

/// The decimal that holds every value of `numeric(precision, scale)`.
fn limited(precision: i32, scale: i32) -> Result<ColumnType, &'static str> {
    let whole = (precision - scale).max(0);
    let scale = scale.max(0);
    match (u8::try_from(whole + scale), u8::try_from(scale)) {
        (Ok(precision), Ok(scale)) if precision <= 38 => Ok(ColumnType::Decimal { precision: precision.max(1), scale }),
        _ => Err("it has room for more than 38 digits: declare a `decimal(p,s)` its values fit"),
    }
}

/// Whether a declared decimal holds every value. Where no decimal could, each value is looked at when it is read.
fn holds(limits: Option<(i32, i32)>, precision: u8, scale: u8) -> bool {
    let Some((its_precision, its_scale)) = limits else { return true };
    match limited(its_precision, its_scale) {
        Ok(ColumnType::Decimal { precision: needed, scale: its_scale }) => {
            scale >= its_scale && i16::from(precision) - i16::from(scale) >= i16::from(needed) - i16::from(its_scale)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modifier(precision: i32, scale: i32) -> i32 {
        ((precision << 16) | (scale & 0x7ff)) + 4
    }

    #[test]
    fn limits_of_numerics_are_unpacked() {
        for limits in [(12, 2), (38, 38), (1000, 0), (2, 5), (5, -2)] {
            assert_eq!(numeric_limits(modifier(limits.0, limits.1)), Some(limits));
        }
        assert_eq!(numeric_limits(-1), None);
    }

    #[test]
    fn a_decimal_must_hold_every_value_of_a_numeric() {
        let decimal = |precision, scale| ColumnType::Decimal { precision, scale };
        let reads = |limits, column| Kind::Numeric(limits).reading(column, false).is_some();
        assert!(reads(Some((12, 2)), decimal(12, 2)) && reads(Some((12, 2)), decimal(15, 4)));
        assert!(!reads(Some((12, 2)), decimal(12, 4)) && !reads(Some((12, 2)), decimal(12, 1)));
        assert!(reads(Some((50, 2)), decimal(38, 2)) && reads(None, decimal(5, 0)));
        assert!(reads(Some((9, 0)), ColumnType::Int) && !reads(Some((10, 0)), ColumnType::Int));
        assert!(!reads(Some((5, 1)), ColumnType::Long) && !reads(None, ColumnType::Long));
        assert_eq!(Kind::Numeric(Some((2, 5))).natural(), Ok(decimal(5, 5)));
        assert_eq!(Kind::Numeric(Some((5, -2))).natural(), Ok(decimal(7, 0)));
        assert!(Kind::Numeric(Some((50, 2))).natural().is_err());
    }

    #[test]
    fn what_could_be_lost_is_refused() {
        let refused = [
            (Kind::Int8, ColumnType::Int),
            (Kind::Int8, ColumnType::Double),
            (Kind::Float8, ColumnType::Decimal { precision: 38, scale: 10 }),
            (Kind::Timestamp, ColumnType::Date),
            (Kind::Text(None), ColumnType::Int),
            (Kind::Money, ColumnType::String),
            (Kind::Bytea, ColumnType::String),
        ];
        for (kind, column) in refused {
            assert_eq!(kind.reading(column, false), None, "{kind:?} as {column}");
        }
    }
}
