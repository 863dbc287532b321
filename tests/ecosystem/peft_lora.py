"""peft: LoRA and its relatives on a Llama: training, merging, and adapters in folders."""

import common
import torch
from common import record, record_training, same_weights, tokens
from peft import (
    IA3Config,
    LoraConfig,
    PeftModel,
    PrefixTuningConfig,
    PromptTuningConfig,
    get_peft_model,
    get_peft_model_state_dict,
)
from transformers import LlamaConfig, LlamaForCausalLM

TARGETS = ["q_proj", "v_proj"]


def llama():
    config = LlamaConfig(
        vocab_size=101, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=48, max_position_embeddings=64, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    return same_weights(LlamaForCausalLM(config), "peft llama")


def main():
    ids = tokens(2, 9, below=101)
    kinds = {
        "LoRA": LoraConfig(r=4, lora_alpha=8, target_modules=TARGETS, lora_dropout=0.0, task_type="CAUSAL_LM"),
        "DoRA": LoraConfig(r=4, target_modules=TARGETS, use_dora=True, task_type="CAUSAL_LM"),
        "rsLoRA on all": LoraConfig(r=2, target_modules="all-linear", use_rslora=True, modules_to_save=["lm_head"]),
        "embedding": LoraConfig(r=2, target_modules=["embed_tokens", "down_proj"], bias="lora_only"),
        "IA3": IA3Config(target_modules=[*TARGETS, "down_proj"], feedforward_modules=["down_proj"]),
        "prompt tuning": PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
        "prefix tuning": PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
    }
    for name, config in kinds.items():
        model = get_peft_model(llama(), config)
        record(f"{name}: parameters", list(model.get_nb_trainable_parameters()))
        same_weights(model, f"peft {name}").train()
        record_training(name, model, lambda m: m(input_ids=ids, labels=ids).loss)
        model.eval()
        with torch.no_grad():
            record(f"{name}: output", model(input_ids=ids).logits)
        record(f"{name}: state", sorted(get_peft_model_state_dict(model)))
        if name in ("LoRA", "DoRA"):
            theirs, ours = common.FOLDER / name, common.FOLDER / f"{name} again"
            if not theirs.exists():
                model.save_pretrained(theirs)
            loaded = PeftModel.from_pretrained(llama(), theirs).eval()
            with torch.no_grad():
                record(f"{name}: loaded", loaded(input_ids=ids).logits)
                with loaded.disable_adapter():
                    record(f"{name}: without", loaded(input_ids=ids).logits)
            loaded.save_pretrained(ours)
            record(f"{name}: files", sorted(path.name for path in ours.iterdir()))
            merged = model.merge_and_unload()
            with torch.no_grad():
                record(f"{name}: merged", merged(input_ids=ids).logits)
            record(f"{name}: generated", merged.generate(ids, max_new_tokens=5, do_sample=False))
            record(f"{name}: merged type", type(merged).__name__)
