from train import train

train()
