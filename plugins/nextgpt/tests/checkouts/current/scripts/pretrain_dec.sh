#!/bin/bash

# deepspeed train_mem.py --not this
NAMES=(
    "audiocap"
    "cc3m"
)
NAMES="${NAMES[@]}"

LLM="./pretrain_ckpt/vicuna-7b-v1.5"
TOWER="./pretrain_ckpt/imagebind"
echo "LLM: $LLM"

deepspeed  --include localhost:2 --master_addr 127.0.0.1 train_mem.py \
    --deepspeed ./scripts/zero2.json \
    --model_name_or_path $LLM \
    --bf16 True \
    --version v1 \
    --dataset_name_list $NAMES \
    --multimodal_tower $TOWER \
    --layer_idx -1 \
    --image_decoder stabilityai/stable-diffusion-2 \
    --video_decoder cerspense/zeroscope_v2_XL \
    --audio_decoder cvssp/audioldm \
    --pretrain_mm_input_adapter ./checkpoints/pretrain_enc_1/mm_input_projector.bin \
    --tune_mm_input_adapter False \
    --freeze_mm_input_adapter True \
    --tune_mm_output_img_adapter False \
    --freeze_mm_output_img_adapter True \
    --tune_mm_output_aud_adapter True \
    --output_dir ./checkpoints/pretrain_dec_1
