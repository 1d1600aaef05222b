"""WikiText-2 perplexity, three figures that must not be mixed up (Merity et al. 2016).

``wikitext2`` is lm-eval's: detokenized documents, every token predicted within the model's own
context, normalised per word. The other two are the GPTQ papers': the raw lines joined with blank
lines, disjoint windows of 1,024 or 2,048 tokens, normalised per predicted token.
"""

from harness.data import Dataset
from harness.task import lm_eval_task, token_perplexity

_LINES = Dataset("Salesforce/wikitext", "wikitext-2-raw-v1")

wikitext2 = lm_eval_task(
    "wikitext",
    name="wikitext2",
    yaml="wikitext/wikitext.yaml",
    primary="word_perplexity",
    datasets=[
        Dataset("EleutherAI/wikitext_document_level", "wikitext-2-raw-v1", samples="wikitext")
    ],
    about="perplexity per word of whole documents (lm-eval's figure)",
)

wikitext2_token_1024 = token_perplexity(
    "wikitext2_token_1024",
    window=1024,
    dataset=_LINES,
    about="perplexity per token, disjoint windows of 1,024 tokens (the GPTQ papers' way)",
)

wikitext2_token_2048 = token_perplexity(
    "wikitext2_token_2048",
    window=2048,
    dataset=_LINES,
    about="perplexity per token, disjoint windows of 2,048 tokens (the GPTQ papers' way)",
)
