"""Documents to clean text: read, normalise, deduplicate, filter, split. Nothing imports torch."""

from kataribe.make.text.choices import CorpusChoices
from kataribe.make.text.corpus import Corpus, list_corpora, open_corpus, read_documents
from kataribe.make.text.document import Document
from kataribe.make.text.leaks import check_no_leak, find_leaks
from kataribe.make.text.making import CorpusProgress, make_corpus
from kataribe.make.text.normalise import Normal

__all__ = [
    "Corpus",
    "CorpusChoices",
    "CorpusProgress",
    "Document",
    "Normal",
    "check_no_leak",
    "find_leaks",
    "list_corpora",
    "make_corpus",
    "open_corpus",
    "read_documents",
]
