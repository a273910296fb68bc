"""Text to ids: tokenizers, streaming decoding and chat templates. Nothing here imports torch."""

from kataribe.make.tokens.load import load_tokenizer
from kataribe.make.tokens.stream import StreamDecoder
from kataribe.make.tokens.templates import Chat, ChatTemplate
from kataribe.make.tokens.tokenizer import Tokenizer

__all__ = ["Chat", "ChatTemplate", "StreamDecoder", "Tokenizer", "load_tokenizer"]
