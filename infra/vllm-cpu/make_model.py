"""Makes a tiny model of Qwen3's architecture in the folder that it is given.

Its weights are random, with a fixed seed, and its tokenizer is trained here,
on the sources of an installed, pinned package and on this folder's template:
nothing is downloaded, and the same requirements make the same model. It says
rubbish, fast.
"""

import pathlib
import sys

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

HERE = pathlib.Path(__file__).resolve().parent
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
# Qwen has these as tokens of their own, but not as special ones: they are text.
MARKS = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>"]
VOCABULARY = 4096
CONTEXT = 40960  # Qwen3's own


def tokenizer() -> PreTrainedTokenizerFast:
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    # English and code, as an agent's prompts are.
    corpus = sorted((pathlib.Path(transformers.__file__).parent / "generation").glob("*.py"))
    texts = [p.read_text() for p in (*corpus, HERE / "chat_template.jinja")]
    raw.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(MARKS), special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    tok = PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token="<|im_end|>", pad_token="<|endoftext|>", model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False)
    tok.add_tokens(MARKS)
    tok.chat_template = (HERE / "chat_template.jinja").read_text()
    return tok


def main(folder: str) -> None:
    tok = tokenizer()
    torch.manual_seed(1)
    model = Qwen3ForCausalLM(Qwen3Config(
        vocab_size=len(tok), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=32, max_position_embeddings=CONTEXT,
        bos_token_id=tok.convert_tokens_to_ids("<|endoftext|>"), eos_token_id=tok.eos_token_id,
        pad_token_id=tok.pad_token_id, tie_word_embeddings=False, dtype="bfloat16"))
    # No weight decides: every token is about as likely as the next.
    model.to(torch.bfloat16).save_pretrained(folder, safe_serialization=True)
    tok.save_pretrained(folder)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make_model.py FOLDER")
    main(sys.argv[1])
