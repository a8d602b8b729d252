"""Tiny Llama checkpoints with random weights, BF16 and INT8, made without a network; 5 s, 3-5 MB each.

Run with the interpreter of an environment that has torch, safetensors and tokenizers: ``make_models.py FOLDER``.
Special tokens and those that are not printable ASCII have logit 0, so answers are ASCII and as good as never stop by
themselves: max_tokens alone sets their length.
"""

from __future__ import annotations

import json
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

HIDDEN, INTERMEDIATE, LAYERS = 256, 512, 2
HEADS, KV_HEADS, HEAD_DIM = 4, 2, 64
VOCABULARY, MAX_POSITIONS = 2048, 4096
SPECIAL = ["<|pad|>", "<|bos|>", "<|eos|>", "<|im_start|>", "<|im_end|>"]
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
INT8_MAX = 127
Weights = dict[str, torch.Tensor]


def corpus() -> Iterator[str]:
    """Some text: modules of the standard library."""
    for file in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[:80]:
        yield file.read_bytes().decode("ascii", "ignore")


def train_tokenizer() -> Tokenizer:
    """Byte-level BPE, trained on `corpus`."""
    tokenizer = Tokenizer(models.BPE(unk_token=None))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    return tokenizer


def random_weights(tokenizer: Tokenizer) -> Weights:
    """BF16 weights, the same on every run."""
    generator = torch.Generator().manual_seed(0)

    def normal(rows: int, columns: int, deviation: float = 0.05) -> torch.Tensor:
        return torch.randn(rows, columns, generator=generator) * deviation

    weights = {
        "model.embed_tokens.weight": normal(VOCABULARY, HIDDEN, 1.0),
        "model.norm.weight": torch.ones(HIDDEN),
    }
    head = normal(VOCABULARY, HIDDEN)
    for index in tokenizer.get_vocab().values():
        text = tokenizer.decode([index]) if index >= len(SPECIAL) else ""
        if not text or not text.isascii() or not text.isprintable():
            head[index] = 0
    weights["lm_head.weight"] = head
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        weights |= {
            f"{prefix}input_layernorm.weight": torch.ones(HIDDEN),
            f"{prefix}post_attention_layernorm.weight": torch.ones(HIDDEN),
            f"{prefix}self_attn.q_proj.weight": normal(HEADS * HEAD_DIM, HIDDEN),
            f"{prefix}self_attn.k_proj.weight": normal(KV_HEADS * HEAD_DIM, HIDDEN),
            f"{prefix}self_attn.v_proj.weight": normal(KV_HEADS * HEAD_DIM, HIDDEN),
            f"{prefix}self_attn.o_proj.weight": normal(HIDDEN, HEADS * HEAD_DIM),
            f"{prefix}mlp.gate_proj.weight": normal(INTERMEDIATE, HIDDEN),
            f"{prefix}mlp.up_proj.weight": normal(INTERMEDIATE, HIDDEN),
            f"{prefix}mlp.down_proj.weight": normal(HIDDEN, INTERMEDIATE),
        }
    return {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in weights.items()}


def to_int8(weights: Weights) -> Weights:
    """Linear layers in INT8 with one scale for each output channel, symmetric; the rest stays BF16."""
    quantized: Weights = {}
    for name, tensor in weights.items():
        if not name.endswith("_proj.weight"):
            quantized[name] = tensor
            continue
        wide = tensor.float()
        scale = (wide.abs().amax(1, keepdim=True) / INT8_MAX).clamp_min(1e-8)
        quantized[name] = (wide / scale).round().clamp(-INT8_MAX, INT8_MAX).to(torch.int8)
        quantized[f"{name}_scale"] = scale.to(torch.bfloat16)
    return quantized


def int8_description() -> dict[str, Any]:
    """W8A8 in the compressed-tensors form: static weights by channel, dynamic activations by token."""
    common = {"num_bits": 8, "type": "int", "symmetric": True, "group_size": None, "actorder": None}
    common |= {"block_structure": None}
    group = {
        "targets": ["Linear"],
        "weights": common | {"strategy": "channel", "dynamic": False, "observer": "minmax"},
        "input_activations": common | {"strategy": "token", "dynamic": True, "observer": None},
        "output_activations": None,
    }
    return {
        "quant_method": "compressed-tensors",
        "format": "int-quantized",
        "quantization_status": "compressed",
        "config_groups": {"group_0": group},
        "ignore": ["lm_head"],
        "kv_cache_scheme": None,
    }


def save(folder: Path, weights: Weights, tokenizer: Tokenizer, quantization: dict[str, Any] | None) -> None:
    """Write one checkpoint as Hugging Face lays it out."""
    folder.mkdir(parents=True)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save(str(folder / "tokenizer.json"))
    tokens = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": HEAD_DIM,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": MAX_POSITIONS,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "attention_bias": False,
        "mlp_bias": False,
        "dtype": "bfloat16",
        "torch_dtype": "bfloat16",
        **tokens,
    }
    if quantization is not None:
        config["quantization_config"] = quantization
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|bos|>",
        "eos_token": "<|eos|>",
        "pad_token": "<|pad|>",
        "model_max_length": MAX_POSITIONS,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
    documents = {
        "config.json": config,
        "generation_config.json": tokens | {"eos_token_id": [2, 4]},
        "tokenizer_config.json": tokenizer_config,
    }
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document, indent=1))


def main(folder: Path) -> None:
    """Write ``tiny-bf16`` and ``tiny-int8`` into `folder`."""
    tokenizer = train_tokenizer()
    weights = random_weights(tokenizer)
    save(folder / "tiny-bf16", weights, tokenizer, None)
    save(folder / "tiny-int8", to_int8(weights), tokenizer, int8_description())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
