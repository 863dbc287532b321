"""transformers.Trainer: training with evaluation, checkpoints and resuming from one; the tokenizer of a saved folder."""

import common
import numpy as np
import torch
from common import record, same_weights, tokens
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DataCollatorWithPadding,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
)


class Sentences(torch.utils.data.Dataset):
    """Sequences of different lengths, each with a class."""

    def __init__(self, count, seed):
        ids = tokens(count, 12, below=40, seed=seed)
        self.rows = [
            {"input_ids": row[: 4 + i % 8].tolist(), "attention_mask": [1] * (4 + i % 8), "labels": int(row[0]) % 3}
            for i, row in enumerate(ids)
        ]

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.rows[index]


def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {"[PAD]": 0, "[UNK]": 1} | {f"w{i}": i for i in range(2, 40)}
    words_of = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    words_of.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=words_of, pad_token="[PAD]", unk_token="[UNK]")


def trainer(folder, **options):
    config = BertConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24,
        max_position_embeddings=16, num_labels=3, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    model = same_weights(BertForSequenceClassification(config), "trainer")
    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=4,
        per_device_eval_batch_size=8,
        num_train_epochs=2,
        learning_rate=5e-3,
        weight_decay=0.01,
        warmup_steps=2,
        lr_scheduler_type="cosine",
        gradient_accumulation_steps=2,
        max_grad_norm=0.5,
        logging_steps=1,
        eval_strategy="steps",
        eval_steps=4,
        save_strategy="steps",
        save_steps=4,
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="accuracy",
        report_to="none",
        use_cpu=True,
        seed=1,
        **options,
    )
    return Trainer(
        model=model,
        args=arguments,
        train_dataset=Sentences(32, seed=0),
        eval_dataset=Sentences(12, seed=1),
        data_collator=DataCollatorWithPadding(tokenizer()),
        processing_class=tokenizer(),
        compute_metrics=lambda p: {"accuracy": float((np.argmax(p.predictions, -1) == p.label_ids).mean())},
    )


def history(run):
    kept = ("loss", "grad_norm", "learning_rate", "epoch", "step", "eval_loss", "eval_accuracy")
    return [{name: float(row[name]) for name in kept if name in row} for row in run.state.log_history]


def main():
    folder = common.FOLDER / f"trainer of {torch.__name__}"
    run = trainer(folder)
    result = run.train()
    record("history", history(run))
    record("result", [result.global_step, result.training_loss])
    record("prediction", np.asarray(run.predict(Sentences(5, seed=2)).predictions, dtype=float).tolist())
    record("files", sorted(path.name for path in (folder / "checkpoint-4").iterdir()))
    final = [p.detach().clone() for p in run.model.parameters()]

    again = trainer(folder)
    again.train(resume_from_checkpoint=str(folder / "checkpoint-4"))
    record("resumed history", history(again))
    record("resumed", [torch.allclose(p, q, atol=1e-6) for p, q in zip(again.model.parameters(), final, strict=True)])

    again.save_model(str(folder / "final"))
    loaded = BertForSequenceClassification.from_pretrained(folder / "final")
    words = PreTrainedTokenizerFast.from_pretrained(folder / "final")
    batch = words(["w3 w4 w5", "w7 what w9 w11 w2"], padding=True, return_tensors="pt")
    record("tokens", batch["input_ids"])
    with torch.no_grad():
        record("final", loaded.eval()(batch["input_ids"], batch["attention_mask"]).logits)

    workers = trainer(folder / "more", dataloader_num_workers=1, bf16=True, optim="sgd", max_steps=2)
    workers.train()
    record("bfloat16 steps", workers.state.global_step)
