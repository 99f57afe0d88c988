//! Tokens and signatures: `Token`, `TokenSeed` and the functions over claims and proofs.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyList, PyString, PyTuple};
use swarmlet_core::claims::{self, Claims};
use swarmlet_core::signature::{self, Signed};
use swarmlet_core::token::{self, Seed, TokenError};

use crate::error::{failure, native};

/// What a file or a pipe with a token may hold, white space around it included.
const MAX_TOKEN_FILE: usize = 4096;

/// The one-use key of a token being minted.
#[pyclass(module = "swarmlet._native", frozen)]
pub struct TokenSeed {
    inner: Seed,
}

#[pymethods]
impl TokenSeed {
    #[staticmethod]
    fn generate() -> PyResult<Self> {
        Seed::fill(|place| getrandom::getrandom(place))
            .map(|inner| Self { inner })
            .map_err(|cause| native("random-unavailable", format!("no random bytes: {cause}")))
    }

    #[getter]
    fn public_key<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &py.detach(|| self.inner.public_key()))
    }

    fn assemble<'py>(&self, py: Python<'py>, signed: &[u8]) -> PyResult<Bound<'py, PyString>> {
        let text = py.detach(|| self.inner.assemble(signed)).map_err(failure)?;
        Ok(PyString::new(py, &text))
    }

    fn token(&self, py: Python<'_>, signed: &[u8]) -> PyResult<Token> {
        let made = py.detach(|| token::Token::parse(self.inner.assemble(signed)?.as_bytes()));
        made.map(|inner| Token { inner }).map_err(failure)
    }

    fn __repr__(&self) -> &'static str {
        "TokenSeed(redacted)"
    }
}

/// A received token; its seed stays native.
#[pyclass(module = "swarmlet._native", frozen)]
pub struct Token {
    inner: token::Token,
}

#[pymethods]
impl Token {
    #[staticmethod]
    fn parse(py: Python<'_>, text: &Bound<'_, PyString>) -> PyResult<Self> {
        // A command line that is not UTF-8 comes as lone surrogates, which no token has.
        let text = text.to_str().map_err(|_| failure(TokenError::Encoding))?;
        let inner = py
            .detach(|| token::Token::parse(text.as_bytes()))
            .map_err(failure)?;
        Ok(Self { inner })
    }

    #[staticmethod]
    fn read_fd(py: Python<'_>, fd: i32) -> PyResult<Self> {
        let inner = py.detach(|| {
            let text = swarmlet_host::fd::read_secret(fd, MAX_TOKEN_FILE)
                .map_err(|cause| native("token-unreadable", cause.to_string()))?;
            token::Token::parse(&text).map_err(failure)
        })?;
        Ok(Self { inner })
    }

    #[getter]
    fn signed<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.inner.signed())
    }

    #[getter]
    fn claims<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        claims_to_tuple(py, self.inner.claims())
    }

    fn proof<'py>(
        &self,
        py: Python<'py>,
        csr: &[u8],
        exporter: &[u8],
    ) -> PyResult<Bound<'py, PyBytes>> {
        let exporter: &[u8; 32] = exporter.try_into().map_err(|_| {
            native(
                "token-exporter",
                "the exporter of a connection has 32 bytes",
            )
        })?;
        let proof = py.detach(|| self.inner.proof(csr, exporter));
        Ok(PyBytes::new(py, &proof))
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.inner)
    }
}

#[pyfunction]
fn encode_claims<'py>(
    py: Python<'py>,
    claims: &Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyBytes>> {
    let claims = claims_from_tuple(claims)?;
    let encoded = claims
        .encode()
        .map_err(|claim| failure(TokenError::Claims(claim)))?;
    Ok(PyBytes::new(py, &encoded))
}

#[pyfunction]
fn decode_claims<'py>(py: Python<'py>, signed: &[u8]) -> PyResult<Bound<'py, PyTuple>> {
    claims_to_tuple(py, &token::decode_signed(signed).map_err(failure)?)
}

#[pyfunction]
fn verify_claims(py: Python<'_>, signed: &[u8], key: &[u8]) -> bool {
    py.detach(|| token::verify_claims(signed, key))
}

#[pyfunction]
fn verify_proof(py: Python<'_>, signed: &[u8], csr: &[u8], exporter: &[u8], proof: &[u8]) -> bool {
    let Ok(exporter) = <&[u8; 32]>::try_from(exporter) else {
        return false;
    };
    py.detach(|| token::verify_proof(signed, csr, exporter, proof))
}

#[pyfunction]
fn verify(py: Python<'_>, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    py.detach(|| signature::verify(key, message, signature))
}

/// A `(key, message, signature)` triple as Python gives it.
type Triple<'py> = (
    Bound<'py, PyBytes>,
    Bound<'py, PyBytes>,
    Bound<'py, PyBytes>,
);

#[pyfunction]
fn verify_batch(py: Python<'_>, items: Vec<Triple<'_>>) -> bool {
    let signed: Vec<Signed<'_>> = items
        .iter()
        .map(|(key, message, signature)| Signed {
            key: key.as_bytes(),
            message: message.as_bytes(),
            signature: signature.as_bytes(),
        })
        .collect();
    py.detach(|| signature::verify_batch(&signed))
}

/// Converts claims to the tuple of the stub.
fn claims_to_tuple<'py>(py: Python<'py>, claims: &Claims) -> PyResult<Bound<'py, PyTuple>> {
    let bytes = |bytes: &[u8]| PyBytes::new(py, bytes).into_any();
    let text = |text: &str| PyString::new(py, text).into_any();
    let number = |number: u64| PyInt::new(py, number).into_any();
    let texts = |texts: &[String]| PyList::new(py, texts).map(Bound::into_any);
    let pins = claims.ca_pins.iter().map(|pin| PyBytes::new(py, pin));
    let items = [
        number(claims::VERSION),
        bytes(&claims.cluster_id),
        text(&claims.cluster_name),
        bytes(&claims.jti),
        bytes(&claims.kid),
        number(claims.issued_s),
        number(claims.expires_s),
        PyList::new(py, pins)?.into_any(),
        texts(&claims.endpoints)?,
        number(claims.max_uses),
        texts(&claims.cidrs)?,
        texts(&claims.node_classes)?,
        texts(&claims.allow)?,
        text(&claims.name_pattern),
        bytes(&claims.key),
    ];
    PyTuple::new(py, items)
}

/// Converts the tuple of the stub to claims; a value of a wrong type is a claim out of bounds.
fn claims_from_tuple(tuple: &Bound<'_, PyTuple>) -> PyResult<Claims> {
    if tuple.len() != 15 || item::<u64>(tuple, 0, "version")? != claims::VERSION {
        return Err(failure(TokenError::Claims("version")));
    }
    Ok(Claims {
        cluster_id: item(tuple, 1, "cluster id")?,
        cluster_name: item(tuple, 2, "cluster name")?,
        jti: item(tuple, 3, "token id")?,
        kid: item(tuple, 4, "key id")?,
        issued_s: item(tuple, 5, "issued")?,
        expires_s: item(tuple, 6, "expiry")?,
        ca_pins: item(tuple, 7, "ca pins")?,
        endpoints: item(tuple, 8, "endpoints")?,
        max_uses: item(tuple, 9, "uses")?,
        cidrs: item(tuple, 10, "networks")?,
        node_classes: item(tuple, 11, "node classes")?,
        allow: item(tuple, 12, "capabilities")?,
        name_pattern: item(tuple, 13, "name pattern")?,
        key: item(tuple, 14, "token key")?,
    })
}

fn item<'py, T>(tuple: &Bound<'py, PyTuple>, at: usize, claim: &'static str) -> PyResult<T>
where
    T: for<'a> FromPyObject<'a, 'py>,
{
    tuple
        .get_item(at)?
        .extract()
        .map_err(|_| failure(TokenError::Claims(claim)))
}

/// Registers what this file defines.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<TokenSeed>()?;
    module.add_class::<Token>()?;
    module.add_function(wrap_pyfunction!(encode_claims, module)?)?;
    module.add_function(wrap_pyfunction!(decode_claims, module)?)?;
    module.add_function(wrap_pyfunction!(verify_claims, module)?)?;
    module.add_function(wrap_pyfunction!(verify_proof, module)?)?;
    module.add_function(wrap_pyfunction!(verify, module)?)?;
    module.add_function(wrap_pyfunction!(verify_batch, module)?)
}
