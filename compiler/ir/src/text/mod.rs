//! The text form of the IR (`.dlir`). Everything that is printed can be parsed again:
//! `parse(print(g)) == g` and `print(parse(t)) == t`.
//!
//! ```text
//! program  = { function } [ "prepare" symbol [ "lossless" symbol ] ] { blob } .
//! function = ( "func" | "kernel" ) symbol "(" [ argument { "," argument } ] ")" "->" results [ "vjp" symbol ]
//!            "{" { node } "return" [ value { "," value } ] "}" .
//! argument = "%" name ":" type [ "input" | "param" string [ "frozen" ] | "state" string | "key" ] .
//! results  = type | "(" [ result { "," result } ] ")" .
//! result   = [ ( name | string ) ":" ] type [ "update" "%" name ] .
//! node     = "%" number [ ":" number ] "=" mnemonic [ literal ] [ value { "," value } ] [ "{" attr { "," attr } "}" ] ":" type { "," type } .
//! value    = "%" ( name | number [ "." number ] ) .
//! attr     = name "=" ( integer | "[" [ integer { "," integer } ] "]" | name | symbol ) .
//! literal  = number | elements | "blob" "(" string ")" .
//! elements = "[" [ number { "," number } ] "]" .
//! blob     = "blob" string "=" elements ":" type .
//! type     = dtype "[" [ size { "," size } ] "]" .
//! symbol   = "@" name .
//! ```
//!
//! `//` begins a comment, which is dropped. Constants of more than [`MAX_INLINE`] elements are written `blob("blake3:…")`, the
//! hash of their type and little-endian bytes; their elements follow the functions, so that the text is complete, or are kept
//! beside it in [`Blobs`].

mod lex;
mod parse;
mod print;

use std::collections::BTreeMap;

use crate::{Graph, Op, Tensor};

pub use parse::ParseError;

/// The largest constant, in elements, that is printed inline.
pub const MAX_INLINE: usize = 64;

/// The elements of constants that are too large to print inline, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blobs(BTreeMap<String, Tensor>);

impl Blobs {
    /// The large constants of a graph.
    pub fn of(graph: &Graph) -> Self {
        let mut blobs = Blobs::default();
        for function in graph.functions() {
            for (_, node) in function.nodes() {
                if let Some(Op::Constant(constant)) = node.op()
                    && constant.value.len() > MAX_INLINE
                {
                    blobs.insert(constant.value.clone());
                }
            }
        }
        blobs
    }

    /// Adds a tensor, named by the hash of its content.
    pub fn insert(&mut self, tensor: Tensor) {
        self.0.insert(blob_name(&tensor), tensor);
    }

    /// The tensors with their names, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.0.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    fn get(&self, name: &str) -> Option<&Tensor> {
        self.0.get(name)
    }
}

/// The name of a large constant: the hash of its type and bytes.
fn blob_name(tensor: &Tensor) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(tensor.ty().to_string().as_bytes());
    hasher.update(&tensor.le_bytes());
    format!("blake3:{}", hasher.finalize().to_hex())
}

impl Graph {
    /// The text without the elements of large constants, for use with [`Blobs::of`] this graph.
    pub fn text_beside_blobs(&self) -> String {
        print::Functions(self).to_string()
    }

    /// Parses a graph, whose large constants are in the text or in `blobs`. The result is verified.
    ///
    /// # Errors
    /// If the text is malformed or the graph is not well-formed.
    pub fn parse(text: &str, blobs: &Blobs) -> Result<Graph, ParseError> {
        parse::parse(text, blobs)
    }
}

impl std::str::FromStr for Graph {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Graph, ParseError> {
        Graph::parse(text, &Blobs::default())
    }
}
