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

deepspeed  --include localhost:2 --master_addr 127.0.0.1 train_mem.py --lora_enable True --lora_r 6 --lora_alpha 12  \
    --deepspeed ./scripts/zero2.json \
    --model_name_or_path $LLM \
    --version v1 \
    --dataset_name_list $NAMES \
    --multimodal_tower $TOWER \
    --layer_idx -1 \
    --bf16 True \
    --image_decoder stabilityai/stable-diffusion-2 \
    --video_decoder cerspense/zeroscope_v2_XL \
    --audio_decoder cvssp/audioldm \
    --pretrain_mm_input_adapter ./checkpoints/pretrain_enc_1/mm_input_projector.bin \
    --tune_mm_input_adapter False \
    --pretrain_mm_output_img_adapter ./checkpoints/pretrain_dec_1/mm_output_projector.bin \
    --tune_mm_output_img_adapter False \
    --output_dir ./checkpoints/finetune_1
