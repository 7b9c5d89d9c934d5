//! Constants: inline elements, and blobs after the functions.

use super::super::{MAX_INLINE, blob_name};
use super::{ParseError, Parsed, Parser, Token};
use crate::{DType, Tensor, Type};

/// A constant as written.
pub(super) enum Literal {
    Elements(Vec<String>),
    Blob(String),
}

impl Parser<'_> {
    /// Parses the blobs first, since functions before them refer to them, and truncates the tokens.
    pub(super) fn own_blobs(&mut self) -> Parsed<()> {
        let begins = |tokens: &[(usize, Token)]| matches!(tokens, [(_, Token::Name(word)), (_, Token::Text(_)), (_, Token::Mark('='))] if word == "blob");
        let Some(first) = self.tokens.windows(3).position(begins) else { return Ok(()) };
        self.next = first;
        while self.eat_word("blob") {
            self.blob()?;
        }
        if *self.peek() != Token::End {
            return self.expected("`blob` or the end of the file");
        }
        self.tokens.truncate(first);
        self.tokens.push((self.text.len(), Token::End));
        self.next = 0;
        Ok(())
    }

    fn blob(&mut self) -> Parsed<()> {
        let at = self.offset();
        let name = self.string("the name of a blob in quotes")?;
        self.mark('=')?;
        self.mark('[')?;
        let elements = self.list(']', Self::element)?;
        self.mark(':')?;
        let ty = self.ty()?;
        let tensor = tensor(&elements, &ty).map_err(|e| ParseError::at(self.text, at, e))?;
        let right = blob_name(&tensor);
        if name != right {
            return Err(ParseError::at(
                self.text,
                at,
                format!("hash mismatch: these elements have the name \"{right}\""),
            ));
        }
        self.own.insert(tensor);
        Ok(())
    }

    fn element(&mut self) -> Parsed<String> {
        match self.peek().clone() {
            Token::Number(n) | Token::Name(n) => {
                self.bump();
                Ok(n)
            }
            _ => self.expected("a number, true or false"),
        }
    }

    pub(super) fn literal_tokens(&mut self) -> Parsed<Literal> {
        if self.eat('[') {
            return Ok(Literal::Elements(self.list(']', Self::element)?));
        }
        if self.eat_word("blob") {
            self.mark('(')?;
            let name = self.string("the name of a blob in quotes")?;
            self.mark(')')?;
            return Ok(Literal::Blob(name));
        }
        Ok(Literal::Elements(vec![self.element()?]))
    }

    pub(super) fn literal(&self, literal: Literal, ty: Option<&Type>) -> Result<Tensor, String> {
        let ty = ty.ok_or("expected a type for the constant")?;
        match literal {
            Literal::Blob(name) => {
                let tensor = self.own.get(&name).or_else(|| self.blobs.get(&name));
                let tensor = tensor.ok_or(format!("unknown blob \"{name}\""))?;
                let fits = tensor.ty() == ty && tensor.len() > MAX_INLINE;
                if fits {
                    Ok(tensor.clone())
                } else {
                    Err(format!("blob \"{name}\" has type {}, expected {ty}", tensor.ty()))
                }
            }
            Literal::Elements(elements) => {
                if elements.len() != ty.shape.elements() || elements.len() > MAX_INLINE {
                    return Err(format!(
                        "found {} elements for {ty}; constants of more than {MAX_INLINE} are blobs",
                        elements.len()
                    ));
                }
                tensor(&elements, ty)
            }
        }
    }
}

/// The tensor of inline elements.
fn tensor(elements: &[String], ty: &Type) -> Result<Tensor, String> {
    let mut bytes = vec![];
    for text in elements {
        let element = element_bytes(text, ty.dtype);
        bytes.extend(element.ok_or_else(|| format!("`{text}` is not a valid {}", ty.dtype))?);
    }
    Tensor::from_le_bytes(ty.clone(), &bytes).map_err(|e| e.to_string())
}

/// The little-endian bytes of an element as written.
fn element_bytes(text: &str, dtype: DType) -> Option<Vec<u8>> {
    let nan_bits = text.strip_prefix("nan:0x");
    let lower = text.trim_start_matches('-');
    // Rust would also parse "infinity" and "NaN"; the text form has one spelling
    let float = matches!(lower, "inf" | "nan") || lower.starts_with(|c: char| c.is_ascii_digit());
    match dtype {
        DType::F32 => match nan_bits {
            Some(bits) => {
                let bits = u32::from_str_radix(bits, 16).ok()?;
                f32::from_bits(bits).is_nan().then(|| bits.to_le_bytes().to_vec())
            }
            None if float => Some(text.parse::<f32>().ok()?.to_le_bytes().to_vec()),
            None => None,
        },
        DType::F64 => match nan_bits {
            Some(bits) => {
                let bits = u64::from_str_radix(bits, 16).ok()?;
                f64::from_bits(bits).is_nan().then(|| bits.to_le_bytes().to_vec())
            }
            None if float => Some(text.parse::<f64>().ok()?.to_le_bytes().to_vec()),
            None => None,
        },
        DType::I32 => Some(text.parse::<i32>().ok()?.to_le_bytes().to_vec()),
        DType::I64 => Some(text.parse::<i64>().ok()?.to_le_bytes().to_vec()),
        DType::U8 => Some(vec![text.parse::<u8>().ok()?]),
        DType::Bool => match text {
            "true" => Some(vec![1]),
            "false" => Some(vec![0]),
            _ => None,
        },
    }
}
