import type { Catalogue } from "../catalogue";

/** Japanese texts of training. */
export const training: Pick<Catalogue, "training"> = {
  training: {
    title: "学習",
    intro: "文章からトークンを経て作った、自分のモデルです。測定した値は実行ごとに残ります。",
    loading: "実行の一覧を読んでいます",
    unavailable: "このサーバーではモデルを学習できません。「kataribe up」で起動してください。",
    none: "学習の実行はまだありません",
    noneWhy:
      "文章とトークナイザー、かけてよい時間（分）を選んでください。残りの設定はこの環境に合わせて決まり、学習の前に見込みを示します。",
    all: "すべての実行",
    missing: "その実行はありません",
    missingWhy: "削除されたか、アドレスが間違っています。",
    run: "実行",
    parameters: "パラメーター数",
    tokens: "トークン",
    tokenCount: "トークン数",
    time: "時間",
    memory: "メモリー",
    bitsPerByte: "1 バイトあたりのビット数",
    compare: "比較",
    compareRun: (name) => `${name} を比較に加える`,
    compareHow: "二つ以上の実行に印を付けると、曲線を重ねて比べられます。",
    objectives: {
      pretrain: "事前学習",
      instruct: "指示学習",
      masked: "穴埋め",
      denoise: "雑音除去",
      classify: "分類",
      tag: "系列ラベル付け",
      distill: "蒸留",
      embed: "埋め込み",
    },
    learns: {
      pretrain:
        "新しいモデルが、文章の続きを書くことを学びます。ほかの学習はすべてここから始まります。",
      instruct: "続きを書くモデルが、会話から答え方を学びます。",
      masked: "新しいエンコーダーが、隠された語を当てることを学びます。分類などのもとになります。",
      denoise: "新しいエンコーダー・デコーダーが、空いた箇所を埋めることを学びます。",
      classify: "エンコーダーが、文章にラベルを付けることを学びます。",
      tag: "エンコーダーが、人名などの語にラベルを付けることを学びます。",
      embed: "エンコーダーが、質問に答える文章を見分けることを学びます。検索に使います。",
      distill: "新しい小さなモデルが、次のトークンについての大きなモデルの判断を学びます。",
    },
    states: {
      waiting: "順番待ち",
      planning: "測定中",
      planned: "計画済み",
      running: "学習中",
      stopped: "停止済み",
      failed: "失敗",
      done: "完了",
    },
    left: (time) => `残り約 ${time}`,
    step: (n) => `${n} ステップ`,
    stepOf: (n, all) => `${all} ステップ中 ${n}`,
    speed: (n) => `毎秒 ${n} トークン`,
    stop: "停止",
    stopping: "次のステップで止まり、そこまでの結果を保存します。",
    resume: "再開",
    remove: "削除",
    removeWhy: (name) =>
      `${name} の曲線、出力例、チェックポイントを削除します。できあがったモデルは残ります。`,
    removeSure: "実行を削除",
    keep: "残す",
    outcome: "見込みと実測",
    expected: "見込み",
    measured: "実測",
    expects: (low, high) => `見込み ${low} から ${high}`,
    whatToExpect: "見込み",
    measuring: "データを読み、この環境の速さを測っています",
    measuresLater: "サーバーが空くのを待ってから、見込みを測ります",
    elapsed: (n) => `${n} 秒経過`,
    noBits:
      "1 バイトあたりのビット数の見込みは事前学習にだけあります。ほかの学習には法則がありません。",
    beside: "ほかの学習が動いているので、いまの測定値は単独のときより遅くなります。",
    cancel: "取り消す",
    cancelling: "取り消しています",
    change: "設定を変える",
    openRun: "実行を開く",
    curves: "曲線",
    noPoints: "測定した値はまだありません。",
    table: "表",
    picture: "画像（PNG）",
    csv: "データ（CSV）",
    samples: "出力例",
    samplesWhy: "太字に続けてモデルが書いた文章です。新しい順に並びます。",
    plan: "計画の全体",
    measures: {
      bits_per_byte: "1 バイトあたりのビット数",
      loss: "損失",
      lr: "学習率",
      grad_norm: "勾配ノルム",
      tokens_per_second: "速さ",
    },
    units: {
      bits_per_byte: "検証用の文章、横軸はトークン数",
      loss: "1 トークンあたりのナット、横軸はトークン数",
      lr: "横軸はトークン数",
      grad_norm: "切り詰める前の値、横軸はトークン数",
      tokens_per_second: "毎秒のトークン数、横軸はトークン数",
    },
    form: {
      title: "モデルを学習する",
      intro:
        "まず見込みを測り、始めるかどうかはそのあとで決められます。処理として進むので画面を閉じてもかまいません。途中で止めて、あとで再開できます。",
      objective: "学習の目的",
      name: "名前",
      nameWhy: "学習が終わると、モデルをこの名前で使えます。",
      teacher: "教師モデル",
      sources: {
        corpora: {
          label: "文章",
          missing: "文章がまだありません。端末で次のコマンドを実行して作ってください。",
        },
        chats: {
          label: "会話",
          missing: "学習に使う会話がまだありません。端末で次のコマンドを実行して作ってください。",
        },
        labelled: {
          label: "ラベル付きの文章",
          missing:
            "まだありません。次のような行を並べた .jsonl ファイルを、ワークスペースの corpora/ に置いてください。",
        },
        tagged: {
          label: "ラベル付きの語",
          missing:
            "まだありません。次のような行を並べた .jsonl ファイルを、ワークスペースの corpora/ に置いてください。",
        },
        pairs: {
          label: "質問と文章の組",
          missing:
            "まだありません。次のような行を並べた .jsonl ファイルを、ワークスペースの corpora/ に置いてください。",
        },
        tokenizers: {
          label: "トークナイザー",
          missing: "トークナイザーがまだありません。端末で次のコマンドを実行して学習してください。",
        },
        mask_tokenizers: {
          label: "トークナイザー",
          missing:
            "マスクトークンのあるトークナイザーがまだありません。端末で次のコマンドを実行して学習してください。",
        },
        gap_tokenizers: {
          label: "トークナイザー",
          missing:
            "穴を示すトークンのあるトークナイザーがまだありません。端末で次のコマンドを実行して学習してください。",
        },
        models: {
          label: "もとのモデル",
          missing: "続きを書くモデルがまだありません。先に事前学習をしてください。",
        },
        encoders: {
          label: "エンコーダー",
          missing: "エンコーダーがまだありません。先に穴埋めで学習してください。",
        },
      },
      fields: {
        minutes: {
          label: "時間（分）",
          why: "大きさ、バッチ、学習率は、この環境でこの時間に合うように決まります。",
          fault: "0.1 から 43,200 までの数を入力してください。",
        },
        size: {
          label: "パラメーター数",
          why: "新しいモデルの大きさです（例：10M）。時間を指定したときは空でもかまいません。",
          fault: "500K、10M、1B のように入力してください。",
        },
        epochs: {
          label: "エポック数",
          why: "それぞれの例を見る回数です。モデルの文脈長より長い例は使わず、その数を記録します。",
          fault: "0.01 から 1,000 までの数を入力してください。",
        },
        tokens: {
          label: "トークン数",
          why: "学習に使う数です。空なら、文章の量に応じたふつうの数になります。",
          fault: "整数を入力してください。",
        },
        context: {
          label: "文脈長",
          why: "一行のトークン数です。空なら、ふつうの数になります。",
          fault: "8 から 1,048,576 までの整数を入力してください。",
        },
        batch: {
          label: "バッチ",
          why: "1 ステップのトークン数です。空なら自動で決まります。文章が少ないときは小さくしてください。",
          fault: "整数を入力してください。",
        },
        rows: {
          label: "バッチ",
          why: "1 ステップの例の数です。空なら、ふつうの数になります。例が少ないときは小さくしてください。",
          fault: "整数を入力してください。",
        },
        seed: {
          label: "乱数の種",
          why: "最初の重みと順序を決めます。同じ値なら同じモデルになります。",
          fault: "0 から 2,147,483,647 までの整数を入力してください。",
        },
      },
      more: "詳しい設定",
      expect: "見込みを見る",
      expectWhy: "数秒かかります。まだ学習は始まりません。",
      begin: "学習を始める",
      beginning: "サーバーに頼んでいます",
      needs: "必要な欄がまだ埋まっていません。",
    },
  },
};
