"""transformers: small models of many families from a configuration: outputs, losses, gradients, training, generation,
and their folders."""

import common
import torch
from common import numbers, record, record_training, same_weights, tokens
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    ResNetConfig,
    ResNetForImageClassification,
    RobertaConfig,
    RobertaForTokenClassification,
    T5Config,
    T5ForConditionalGeneration,
    ViTConfig,
    ViTForImageClassification,
)

VOCABULARY = 101
ENCODER = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
DECODER = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def text():
    """Two sequences, the second of which is padded."""
    ids = tokens(2, 9, below=VOCABULARY)
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0
    return {"input_ids": ids, "attention_mask": mask}


def decoders():
    yield LlamaForCausalLM(LlamaConfig(**DECODER))
    yield Qwen2ForCausalLM(Qwen2Config(**DECODER))
    yield MistralForCausalLM(MistralConfig(**DECODER, sliding_window=5))
    gpt2 = GPT2Config(
        vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=1, eos_token_id=2,
        pad_token_id=0, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    )  # fmt: skip
    yield GPT2LMHeadModel(gpt2)


def others():
    yield (
        BertForSequenceClassification(BertConfig(**ENCODER, num_labels=3)),
        text() | {"labels": torch.tensor([0, 2])},
    )
    yield (
        RobertaForTokenClassification(RobertaConfig(**ENCODER, num_labels=3)),
        text() | {"labels": tokens(2, 9, below=6) - 3},
    )
    distil = DistilBertConfig(
        vocab_size=VOCABULARY, dim=32, n_layers=2, n_heads=4, hidden_dim=48, dropout=0.0, attention_dropout=0.0
    )
    yield DistilBertForMaskedLM(distil), text() | {"labels": tokens(2, 9, below=VOCABULARY)}
    t5 = T5Config(
        vocab_size=VOCABULARY, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, dropout_rate=0.0,
        decoder_start_token_id=0,
    )  # fmt: skip
    yield T5ForConditionalGeneration(t5), text() | {"labels": tokens(2, 7, below=VOCABULARY, seed=1)}
    vit = {name: value for name, value in ENCODER.items() if name not in ("vocab_size", "max_position_embeddings")}
    images = {"pixel_values": numbers(2, 3, 16, 16), "labels": torch.tensor([0, 1])}
    yield ViTForImageClassification(ViTConfig(**vit, image_size=16, patch_size=4, num_labels=3)), images
    resnet = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=3)
    yield ResNetForImageClassification(resnet), images


def generation(name, model):
    prompt = text() | {"input_ids": tokens(2, 5, below=VOCABULARY, seed=3), "attention_mask": torch.ones(2, 5).long()}
    greedy = model.generate(**prompt, max_new_tokens=8, do_sample=False)
    record(f"{name}: greedy", greedy)
    record(
        f"{name}: greedy without cache", model.generate(**prompt, max_new_tokens=8, do_sample=False, use_cache=False)
    )
    if not isinstance(model, T5ForConditionalGeneration):
        static = model.generate(**prompt, max_new_tokens=8, do_sample=False, cache_implementation="static")
        record(f"{name}: greedy with a static cache", static)
    record(f"{name}: beams", model.generate(**prompt, max_new_tokens=8, num_beams=3, num_return_sequences=2))
    torch.manual_seed(0)
    record(f"{name}: sampled", model.generate(**prompt, max_new_tokens=8, do_sample=True, top_k=20, top_p=0.9))
    scored = model.generate(
        **prompt, max_new_tokens=4, do_sample=False, repetition_penalty=1.3, no_repeat_ngram_size=2,
        output_scores=True, return_dict_in_generate=True,
    )  # fmt: skip
    record(f"{name}: penalties", scored.sequences)
    record(f"{name}: scores", torch.stack(scored.scores).nan_to_num(neginf=-1e4))


def folders(name, model, inputs):
    """What the other side saved is loaded, and saved and loaded again."""
    theirs, ours = common.FOLDER / name, common.FOLDER / f"{name} again"
    if not theirs.exists():
        model.save_pretrained(theirs)
    loaded = type(model).from_pretrained(theirs).eval()
    loaded.save_pretrained(ours)
    again = type(model).from_pretrained(ours, dtype=torch.bfloat16)
    with torch.no_grad():
        record(f"{name}: loaded", loaded(**inputs).logits)
    record(f"{name}: files", sorted(path.name for path in ours.iterdir()))
    record(f"{name}: low precision", sorted({str(p.dtype) for p in again.parameters()}))
    record(f"{name}: training", [loaded.training, again.training])


def main():
    for model in decoders():
        name = type(model).__name__
        inputs = text() | {"labels": tokens(2, 9, below=VOCABULARY)}
        same_weights(model, name).eval()
        with torch.no_grad():
            output = model(**inputs, output_hidden_states=True)
        record(f"{name}: output", [output.loss.item(), output.logits.tolist(), output.hidden_states[1].tolist()])
        generation(name, model)
        folders(name, model, inputs)
        record_training(name, model.train(), lambda m, inputs=inputs: m(**inputs).loss)

    for model, inputs in others():
        name = type(model).__name__
        same_weights(model, name).eval()
        with torch.no_grad():
            record(f"{name}: output", model(**inputs).logits)
        if isinstance(model, T5ForConditionalGeneration):
            generation(name, model)
        folders(name, model, inputs)
        record_training(name, model.train(), lambda m, inputs=inputs: m(**inputs).loss)

    model = LlamaForCausalLM(LlamaConfig(**DECODER, attn_implementation="eager"))
    same_weights(model, "LlamaForCausalLM")
    record("attentions", torch.stack(model(**text(), output_attentions=True).attentions))
    model.gradient_checkpointing_enable()
    record_training("checkpointing", model.train(), lambda m: m(**text(), labels=text()["input_ids"]).loss)
