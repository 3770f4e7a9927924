//! `$filter`: text → tree. Whether the tree makes sense for a set is decided in [`super::condition`].

use super::lexer::{Literal, Token, words};

/// How deep parentheses may nest.
const DEPTH: usize = 100;

/// A truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Clause {
    /// Any of them holds.
    Or(Vec<Clause>),
    /// All of them hold.
    And(Vec<Clause>),
    /// It does not hold.
    Not(Box<Clause>),
    /// Two operands compared.
    Compare(Operator, Operand, Operand),
    /// An operand that is a truth itself.
    Truth(Operand),
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operand {
    /// A literal.
    Literal(Literal),
    /// A field, perhaps through `/`.
    Path(Vec<String>),
    /// A function.
    Call(String, Vec<Operand>),
    /// `RecordSet/any(r: …)`; without a clause: whether there is a row at all.
    Any(Vec<String>, Option<(String, Box<Clause>)>),
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
}

impl Operator {
    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "eq" => Self::Eq,
            "ne" => Self::Ne,
            "gt" => Self::Gt,
            "ge" => Self::Ge,
            "lt" => Self::Lt,
            "le" => Self::Le,
            _ => return None,
        })
    }

    /// Whether it asks for an order.
    pub(crate) fn is_ordering(self) -> bool {
        !matches!(self, Self::Eq | Self::Ne)
    }

    /// Whether two values in this order satisfy it.
    pub(crate) fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Eq => order.is_eq(),
            Self::Ne => order.is_ne(),
            Self::Gt => order.is_gt(),
            Self::Ge => order.is_ge(),
            Self::Lt => order.is_lt(),
            Self::Le => order.is_le(),
        }
    }

    /// The operator with its sides exchanged.
    pub(crate) fn mirrored(self) -> Self {
        match self {
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
            same => same,
        }
    }
}

/// Reads an expression; `None` if it is not one.
pub(crate) fn parse(text: &str) -> Option<Clause> {
    let mut parser = Parser { words: words(text)?, at: 0, depth: 0 };
    let clause = parser.or()?;
    (parser.at == parser.words.len()).then_some(clause)
}

struct Parser {
    words: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn or(&mut self) -> Option<Clause> {
        let mut clauses = vec![self.and()?];
        while self.take_word("or") {
            clauses.push(self.and()?);
        }
        if clauses.len() == 1 { clauses.pop() } else { Some(Clause::Or(clauses)) }
    }

    fn and(&mut self) -> Option<Clause> {
        let mut clauses = vec![self.unary()?];
        while self.take_word("and") {
            clauses.push(self.unary()?);
        }
        if clauses.len() == 1 { clauses.pop() } else { Some(Clause::And(clauses)) }
    }

    fn unary(&mut self) -> Option<Clause> {
        self.depth += 1;
        if self.depth > DEPTH {
            return None;
        }
        let clause = if self.take_word("not") {
            Clause::Not(Box::new(self.unary()?))
        } else if self.take_sign('(') {
            let inner = self.or()?;
            self.take_sign(')').then_some(inner)?
        } else {
            let left = self.operand()?;
            match self.operator() {
                Some(operator) => Clause::Compare(operator, left, self.operand()?),
                None => Clause::Truth(left),
            }
        };
        self.depth -= 1;
        Some(clause)
    }

    fn operator(&mut self) -> Option<Operator> {
        let Some(Token::Word(word)) = self.words.get(self.at) else { return None };
        let operator = Operator::of(word)?;
        self.at += 1;
        Some(operator)
    }

    fn operand(&mut self) -> Option<Operand> {
        match self.next()? {
            Token::Literal(literal) => Some(Operand::Literal(literal)),
            Token::Word(name) if self.take_sign('(') => Some(Operand::Call(name, self.arguments()?)),
            Token::Word(name) => self.path(name),
            Token::Sign(_) => None,
        }
    }

    fn path(&mut self, first: String) -> Option<Operand> {
        let mut path = vec![first];
        while self.take_sign('/') {
            let Token::Word(name) = self.next()? else { return None };
            if name == "any" && self.take_sign('(') {
                return self.any(path);
            }
            path.push(name);
        }
        Some(Operand::Path(path))
    }

    fn any(&mut self, path: Vec<String>) -> Option<Operand> {
        if self.take_sign(')') {
            return Some(Operand::Any(path, None));
        }
        let Token::Word(variable) = self.next()? else { return None };
        if !self.take_sign(':') {
            return None;
        }
        let clause = self.or()?;
        self.take_sign(')').then(|| Operand::Any(path, Some((variable, Box::new(clause)))))
    }

    fn arguments(&mut self) -> Option<Vec<Operand>> {
        let mut arguments = Vec::new();
        if self.take_sign(')') {
            return Some(arguments);
        }
        loop {
            arguments.push(self.operand()?);
            if self.take_sign(')') {
                return Some(arguments);
            }
            if !self.take_sign(',') {
                return None;
            }
        }
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.words.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn take_word(&mut self, wanted: &str) -> bool {
        let found = matches!(self.words.get(self.at), Some(Token::Word(word)) if word == wanted);
        self.at += usize::from(found);
        found
    }

    fn take_sign(&mut self, wanted: char) -> bool {
        let found = matches!(self.words.get(self.at), Some(Token::Sign(sign)) if *sign == wanted);
        self.at += usize::from(found);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn and_binds_tighter_than_or() {
        let clause = parse("a eq 1 or b eq 2 and not (c eq 3)").unwrap();
        let Clause::Or(parts) = clause else { panic!("{clause:?}") };
        assert!(matches!(parts.as_slice(), [Clause::Compare(..), Clause::And(_)]));
    }

    #[test]
    fn what_is_not_an_expression_is_refused() {
        for bad in ["", "a eq", "a = 1", "(a eq 1", "a eq 1)", "a b", "a eq 1 and", "x/any(r r/a eq 1)", "f(1"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(parse(&"(".repeat(100_000)), None);
    }

    #[test]
    fn lambdas_and_functions_are_read() {
        let text = "RecordSet/any(r: r/Period ge datetime'2024-01-01T00:00:00')";
        assert!(matches!(parse(text), Some(Clause::Truth(Operand::Any(..)))));
        assert!(matches!(
            parse("startswith(A,'б') eq true"),
            Some(Clause::Compare(Operator::Eq, Operand::Call(..), _))
        ));
    }
}
