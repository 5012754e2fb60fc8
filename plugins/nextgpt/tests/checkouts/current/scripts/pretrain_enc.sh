#!/bin/bash

# deepspeed train_mem.py --not this
NAMES=("audiocap" "cc3m")
NAMES="${NAMES[@]}"

LLM="./pretrain_ckpt/vicuna-7b-v1.5"
TOWER="./pretrain_ckpt/imagebind"
echo "LLM: $LLM"

deepspeed  --include localhost:2 --master_addr 127.0.0.1 train_mem.py \
    --deepspeed ./scripts/zero2.json \
    --model_name_or_path $LLM \
    --version v1 \
    --dataset_name_list $NAMES \
    --multimodal_tower $TOWER \
    --layer_idx -1 \
    --bf16 True \
    --tune_mm_input_adapter True \
    --tune_mm_output_img_adapter False \
    --output_dir ./checkpoints/pretrain_enc_2 \
    --cache_dir "./cache_dir"
