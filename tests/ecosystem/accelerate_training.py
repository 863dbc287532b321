"""accelerate: a training loop with prepared objects, accumulation, clipping, metrics, and its checkpoints."""

import common
import torch
from accelerate import Accelerator, init_empty_weights
from accelerate.state import AcceleratorState
from accelerate.utils import set_seed
from common import numbers, record, same_weights
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def network():
    return nn.Sequential(nn.Linear(6, 16), nn.GELU(), nn.Dropout(0.0), nn.Linear(16, 3))


def main():
    set_seed(0)
    accelerator = Accelerator(gradient_accumulation_steps=2, cpu=True)
    record("state", [str(accelerator.device), accelerator.num_processes, accelerator.is_main_process])
    x, y = numbers(40, 6), numbers(40, 6)[:, :3].argmax(1)
    model = same_weights(network(), "accelerate")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
    loader = DataLoader(TensorDataset(x, y), batch_size=8)
    model, optimizer, loader, scheduler = accelerator.prepare(model, optimizer, loader, scheduler)
    losses, norms = [], []

    def epoch():
        for inputs, targets in loader:
            with accelerator.accumulate(model):
                loss = nn.functional.cross_entropy(model(inputs), targets)
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    norms.append(accelerator.clip_grad_norm_(model.parameters(), 0.5).item())
                optimizer.step()
                scheduler.step()
                optimizer.zero_grad()
            losses.append(accelerator.gather_for_metrics(loss.detach().reshape(1)).item())

    epoch()
    record("losses", list(losses))
    record("norms", list(norms))
    record("rate", scheduler.get_last_lr())
    folder = common.FOLDER / ("checkpoint of " + torch.__name__)
    accelerator.save_state(str(folder))
    record("files", sorted(path.name for path in folder.iterdir()))
    epoch()
    after = [p.detach().clone() for p in model.parameters()]
    record("second epoch", list(losses))
    accelerator.load_state(str(folder))
    epoch()
    record("again", [torch.allclose(p, q) for p, q in zip(model.parameters(), after, strict=True)])
    accelerator.save_model(model, str(common.FOLDER / "accelerate model"))
    record("unwrapped", type(accelerator.unwrap_model(model)).__name__)

    clone = same_weights(network(), "accelerate")
    AcceleratorState._reset_state(True)
    low = Accelerator(mixed_precision="bf16", cpu=True)
    clone = low.prepare(clone)
    with low.autocast():
        record("autocast dtype", str(nn.Linear(6, 2)(x).dtype))
    record("mixed precision", clone(x).float())
    with init_empty_weights():
        empty = network()
    record("empty weights", [str(p.device) for p in empty.parameters()])
