//! Rewrites a plan so that what can fail is guarded.

use super::arithmetic::Arithmetic;
use super::{Cast, Fault, Guarded, Loss, Target, aggregate};
use crate::sql::types;
use arrow::datatypes::{DataType, Field};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, DFSchema, Result, ScalarValue, TableReference};
use datafusion::logical_expr::expr::{
    AggregateFunction, Between, InList, ScalarFunction, WindowFunction, WindowFunctionDefinition,
};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    AggregateUDF, BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ScalarFunctionArgs, ScalarUDF,
    TryCast,
};
use datafusion::optimizer::utils::NamePreserver;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The metadata key that marks the columns of a source's key; it follows the columns through plans.
pub(in crate::sql) const KEY: &str = "obmen.key";

/// Functions of DataFusion that fail on some values.
const FALLIBLE: &[&str] = &[
    "abs",
    "chr",
    "date_bin",
    "date_trunc",
    "factorial",
    "from_unixtime",
    "gcd",
    "lcm",
    "make_date",
    "make_time",
    "power",
    "repeat",
    "round",
    "to_char",
    "to_date",
    "to_time",
    "to_timestamp",
    "to_timestamp_micros",
    "to_timestamp_millis",
    "to_timestamp_seconds",
    "to_unixtime",
    "trunc",
    "ru_decimal",
];

/// Key columns named in a message at most.
const KEY_COLUMNS: usize = 6;

/// What an expression is called in messages.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::sql) struct Words {
    /// The relation it belongs to; may be empty.
    pub(in crate::sql) relation: Arc<str>,
    /// The expression as it was written, more or less.
    pub(in crate::sql) text: String,
}

/// Guards everything in an analyzed plan that can fail.
///
/// # Errors
/// A constant expression that fails whatever the rows are: [`Fault`].
pub(in crate::sql) fn make_exact(plan: LogicalPlan, relation: &Arc<str>) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| {
        let rule = Rule { schema: merge_schema(&node.inputs()), relation };
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(expr.transform_down(|expr| rule.rewrite(expr))?.update_data(|expr| name.restore(expr)))
        })?
        .map_data(LogicalPlan::recompute_schema)
    })
    .data()
}

struct Rule<'a> {
    /// The columns an expression of the node sees.
    schema: DFSchema,
    relation: &'a Arc<str>,
}

impl Rule<'_> {
    fn rewrite(&self, expr: Expr) -> Result<Transformed<Expr>> {
        let rewritten = match &expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match self.doubles(left, *op, right)? {
                None => self.arithmetic(&expr, left, *op, right)?,
                some => some,
            },
            Expr::InList(list) => self.doubles_in_list(list)?,
            Expr::Between(between) => self.doubles_between(between)?,
            Expr::Negative(value) => self.negative(&expr, value)?,
            Expr::Cast(datafusion::logical_expr::Cast { expr: value, field }) => {
                self.cast(&expr, value, field.data_type(), false)?
            }
            Expr::TryCast(TryCast { expr: value, field }) => self.cast(&expr, value, field.data_type(), true)?,
            Expr::ScalarFunction(call) => self.function(&expr, call),
            Expr::AggregateFunction(call) => self.aggregate(&expr, call),
            Expr::WindowFunction(call) => self.window(&expr, call),
            _ => None,
        };
        Ok(rewritten.map_or_else(|| Transformed::no(expr), Transformed::yes))
    }

    fn words(&self, expr: &Expr) -> Words {
        Words { relation: Arc::clone(self.relation), text: describe(expr) }
    }

    fn guard(&self, whole: &Expr, function: Arc<ScalarUDF>, mut args: Vec<Expr>) -> Expr {
        let arguments = args.iter().map(describe).collect();
        let key = self.key(&args);
        let names = key.iter().map(|column| column.name.clone()).collect();
        args.extend(key.into_iter().map(Expr::Column));
        let guarded = Guarded::new(function, self.words(whole), arguments, names);
        Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(ScalarUDF::from(guarded)), args))
    }

    /// The key columns of the relations the arguments come from: never of another one, so that a
    /// condition between two relations stays one.
    fn key(&self, args: &[Expr]) -> Vec<Column> {
        let used: BTreeSet<Option<&TableReference>> =
            args.iter().flat_map(Expr::column_refs).map(|column| column.relation.as_ref()).collect();
        let marked = self.schema.iter().filter(|(relation, field)| {
            used.contains(relation)
                && field.metadata().contains_key(KEY)
                && self.schema.index_of_column_by_name(*relation, field.name()).is_some()
        });
        marked.map(|(relation, field)| Column::new(relation.cloned(), field.name())).take(KEY_COLUMNS).collect()
    }

    fn arithmetic(&self, whole: &Expr, left: &Expr, operator: Operator, right: &Expr) -> Result<Option<Expr>> {
        let sides = (left.get_type(&self.schema)?, right.get_type(&self.schema)?);
        if !types::is_number(&sides.0) || !types::is_number(&sides.1) {
            return Ok(None);
        }
        let result = whole.get_type(&self.schema)?;
        let Some(arithmetic) = Arithmetic::new(operator, &sides.0, &sides.1, &result) else { return Ok(None) };
        Ok(Some(self.guard(whole, Arc::new(ScalarUDF::from(arithmetic)), vec![left.clone(), right.clone()])))
    }

    /// A double compared with a decimal: as doubles, for most doubles are no decimals.
    fn doubles(&self, left: &Expr, operator: Operator, right: &Expr) -> Result<Option<Expr>> {
        use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
        if !matches!(operator, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom) {
            return Ok(None);
        }
        let sides = match (self.double_in_decimal(left)?, self.double_in_decimal(right)?) {
            (None, None) => return Ok(None),
            (Some(left), Some(right)) => (left, right),
            (Some(left), None) => (left, as_double(right)),
            (None, Some(right)) => (as_double(left), right),
        };
        Ok(Some(Expr::BinaryExpr(BinaryExpr::new(Box::new(sides.0), operator, Box::new(sides.1)))))
    }

    fn doubles_in_list(&self, list: &InList) -> Result<Option<Expr>> {
        let Some(value) = self.double_in_decimal(&list.expr)? else { return Ok(None) };
        let items = list.list.iter().map(as_double).collect();
        Ok(Some(Expr::InList(InList::new(Box::new(value), items, list.negated))))
    }

    fn doubles_between(&self, between: &Between) -> Result<Option<Expr>> {
        let Some(value) = self.double_in_decimal(&between.expr)? else { return Ok(None) };
        let (low, high) = (as_double(&between.low), as_double(&between.high));
        Ok(Some(Expr::Between(Between::new(Box::new(value), between.negated, Box::new(low), Box::new(high)))))
    }

    /// The double that was cast to a decimal to be compared with one.
    fn double_in_decimal(&self, side: &Expr) -> Result<Option<Expr>> {
        let Expr::Cast(datafusion::logical_expr::Cast { expr, field }) = side else { return Ok(None) };
        let wide = matches!(field.data_type(), DataType::Decimal128(..)) && expr.get_type(&self.schema)?.is_floating();
        Ok(wide.then(|| expr.as_ref().clone()))
    }

    fn negative(&self, whole: &Expr, value: &Expr) -> Result<Option<Expr>> {
        let kind = value.get_type(&self.schema)?;
        if !kind.is_signed_integer() {
            return Ok(None);
        }
        let zero = Expr::Literal(ScalarValue::new_zero(&kind)?, None);
        let Some(minus) = Arithmetic::new(Operator::Minus, &kind, &kind, &kind) else { return Ok(None) };
        Ok(Some(self.guard(whole, Arc::new(ScalarUDF::from(minus)), vec![zero, value.clone()])))
    }

    fn cast(&self, whole: &Expr, value: &Expr, to: &DataType, attempt: bool) -> Result<Option<Expr>> {
        let from = value.get_type(&self.schema)?;
        if cannot_fail(&from, to) {
            return Ok(None);
        }
        let cast = ScalarUDF::from(Cast::new(Target::Type(to.clone()), Loss::Rounds, attempt));
        if let Expr::Literal(literal, _) = value {
            return constant(&cast, literal, to).map(Some);
        }
        Ok(Some(self.guard(whole, Arc::new(cast), vec![value.clone()])))
    }

    fn function(&self, whole: &Expr, call: &ScalarFunction) -> Option<Expr> {
        let guarded = call.func.inner().downcast_ref::<Guarded>().is_some();
        if guarded || !FALLIBLE.contains(&call.func.name()) {
            return None;
        }
        Some(self.guard(whole, Arc::clone(&call.func), call.args.clone()))
    }

    fn aggregate(&self, whole: &Expr, call: &AggregateFunction) -> Option<Expr> {
        let exact = self.named(whole, &call.func)?;
        Some(Expr::AggregateFunction(AggregateFunction { func: exact, params: call.params.clone() }))
    }

    fn window(&self, whole: &Expr, call: &WindowFunction) -> Option<Expr> {
        let WindowFunctionDefinition::AggregateUDF(function) = &call.fun else { return None };
        let exact = self.named(whole, function)?;
        let fun = WindowFunctionDefinition::AggregateUDF(exact);
        Some(Expr::WindowFunction(Box::new(WindowFunction { fun, params: call.params.clone() })))
    }

    /// The same sum, knowing what it is called.
    fn named(&self, whole: &Expr, function: &AggregateUDF) -> Option<Arc<AggregateUDF>> {
        let sum = function.inner().downcast_ref::<aggregate::Exact>()?;
        sum.is_nameless().then(|| Arc::new(AggregateUDF::from(sum.named(self.words(whole)))))
    }
}

/// Casts a constant now, so that `date '2026-02-30'` is found before anything runs.
fn constant(cast: &ScalarUDF, value: &ScalarValue, to: &DataType) -> Result<Expr> {
    let args = ScalarFunctionArgs {
        args: vec![value.clone().into()],
        arg_fields: vec![Arc::new(Field::new("value", value.data_type(), true))],
        number_rows: 1,
        return_field: Arc::new(Field::new("result", to.clone(), true)),
        config_options: Arc::default(),
    };
    let result = cast.invoke_with_args(args).and_then(|result| match result {
        ColumnarValue::Scalar(value) => Ok(value),
        ColumnarValue::Array(array) => ScalarValue::try_from_array(&array, 0),
    });
    match result {
        Ok(value) => Ok(Expr::Literal(value, None)),
        Err(error) => {
            let reason = Fault::of(&error).0;
            let reason = reason.strip_prefix("holds ").map_or(reason.clone(), |value| value.replacen(", which", "", 1));
            Err(Fault::new(reason).into())
        }
    }
}

/// The other side of such a comparison; its own cast to the common decimal goes too.
fn as_double(value: &Expr) -> Expr {
    let value = match value {
        Expr::Cast(datafusion::logical_expr::Cast { expr, field })
            if matches!(field.data_type(), DataType::Decimal128(..)) =>
        {
            expr
        }
        other => other,
    };
    datafusion::logical_expr::cast(value.clone(), DataType::Float64)
}

/// Casts that every value survives.
fn cannot_fail(from: &DataType, to: &DataType) -> bool {
    use DataType::{Boolean, Dictionary, Float64, Int8, Int16, Int32, Int64, Null, UInt8, UInt16, UInt32};
    from == to
        || matches!(from, Null)
        || types::is_text(to)
        || matches!(to, Dictionary(..))
        || (matches!(from, Boolean) && to.is_integer())
        || (from.is_integer() && *to == Float64)
        || ((from.is_floating() || matches!(from, DataType::Decimal128(..))) && *to == Float64)
        || matches!(
            (from, to),
            (Int8 | Int16 | Int32 | UInt8 | UInt16 | UInt32, Int64) | (Int8 | Int16 | UInt8 | UInt16, Int32)
        )
}

/// The expression for a message: columns without their relation, casts left out.
fn describe(expr: &Expr) -> String {
    let side = |side: &Expr| match side {
        Expr::BinaryExpr(_) => format!("({})", describe(side)),
        _ => describe(side),
    };
    let list = |args: &[Expr]| args.iter().map(describe).collect::<Vec<_>>().join(", ");
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => format!("{} {op} {}", side(left), side(right)),
        Expr::Negative(value) => format!("-{}", side(value)),
        Expr::Cast(datafusion::logical_expr::Cast { expr, .. }) | Expr::TryCast(TryCast { expr, .. }) => describe(expr),
        Expr::Column(column) => column.name.clone(),
        Expr::Literal(ScalarValue::Utf8(Some(text)), _) => format!("'{text}'"),
        Expr::ScalarFunction(call) => match call.func.inner().downcast_ref::<Guarded>() {
            Some(guarded) => guarded.text().to_owned(),
            None => format!("{}({})", call.func.name(), list(&call.args)),
        },
        Expr::AggregateFunction(call) => format!("{}({})", call.func.name(), list(&call.params.args)),
        Expr::WindowFunction(call) => format!("{}({})", call.fun.name(), list(&call.params.args)),
        other => other.human_display().to_string(),
    }
}
