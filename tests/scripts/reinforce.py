"""REINFORCE, and an actor-critic with a shared body, on a cart that must stay near the middle."""

import json
from collections import namedtuple

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.distributions import Categorical

SavedAction = namedtuple("SavedAction", ["log_prob", "value"])


class Cart:
    def reset(self):
        self.state = torch.zeros(2).uniform_(-0.5, 0.5)
        return self.state

    def step(self, action):
        speed = 0.9 * self.state[1] + (0.1 if action == 1 else -0.1)
        self.state = torch.stack([self.state[0] + speed, speed])
        return self.state, 1.0 - abs(self.state[0].item()), bool(abs(self.state[0]) > 2)


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.affine1 = nn.Linear(2, 16)
        self.action_head = nn.Linear(16, 2)
        self.value_head = nn.Linear(16, 1)
        self.saved_actions = []
        self.rewards = []

    def forward(self, x):
        x = F.relu(self.affine1(x))
        return F.softmax(self.action_head(x), dim=-1), self.value_head(x)


def select_action(model, state):
    probs, value = model(state)
    m = Categorical(probs)
    action = m.sample()
    model.saved_actions.append(SavedAction(m.log_prob(action), value))
    return action.item()


def finish_episode(model, optimizer, critic, eps=1e-6):
    R, returns = 0, []
    for r in model.rewards[::-1]:
        R = r + 0.95 * R
        returns.insert(0, R)
    returns = torch.tensor(returns)
    returns = (returns - returns.mean()) / (returns.std() + eps)
    policy_losses, value_losses = [], []
    for (log_prob, value), R in zip(model.saved_actions, returns):
        advantage = R - (value.item() if critic else 0.0)
        policy_losses.append(-log_prob * advantage)
        value_losses.append(F.smooth_l1_loss(value, torch.tensor([R])))
    optimizer.zero_grad()
    loss = torch.stack(policy_losses).sum()
    if critic:
        loss = loss + torch.stack(value_losses).sum()
    loss.backward()
    optimizer.step()
    del model.rewards[:]
    del model.saved_actions[:]
    return loss.item()


def main():
    torch.set_default_dtype(torch.float64)
    losses = []
    for critic in (False, True):
        torch.manual_seed(12)
        env, model = Cart(), Policy()
        optimizer = optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(12):
            state = env.reset()
            for _ in range(20):
                state, reward, done = env.step(select_action(model, state))
                model.rewards.append(reward)
                if done:
                    break
            losses.append(finish_episode(model, optimizer, critic))
    return losses


if __name__ == "__main__":
    print(json.dumps(main()))
